// Standard output and files of numbers. A closed pipe (`| head`) ends output quietly; a full disk
// does not: it is an error like any other.
#pragma once

#include <string>

namespace seqrank {

// One line whatever the message holds: keys and paths come from people and files.
std::string one_line(const std::string& message);

// Throws Error(data) when it cannot be written, except into a pipe that nobody reads any more.
void print_out(const std::string& text);
void flush_out();

// Writes `text` under a temporary name in the same folder and renames it: the file is there whole
// or not at all. What is there and is no plain file (a device, a pipe, a link) is written into.
// Throws Error(data) naming the path.
void write_file(const std::string& path, const std::string& text);

}  // namespace seqrank

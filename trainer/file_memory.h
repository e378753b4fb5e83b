// Memory that is a file, for tables larger than the machine's memory: its pages come and go as the
// system finds room, and nothing is ever synced, since checkpoints are elsewhere. A file has no
// name, so that whatever ends the process leaves nothing behind.
#pragma once

#include <memory>
#include <string>

#include "backend/memory.h"

namespace seqrank {

// Each block is a file in `folder`, which is made where it is not there; zeros at first. Room on
// the disk is taken at once, so that a full one is noticed here and not by a step: obtain() throws
// Error(device) that says how much was asked for, Error(data) where no file can be made.
std::unique_ptr<Memory> make_file_memory(const std::string& folder);

}  // namespace seqrank

// Files that a command is to write, looked at before it works for hours. Writes none; see output.h.
#pragma once

#include "models/options.h"

namespace seqrank {

// Throws Error(data) where a file that is to be written (--json, --output, --svg) has no folder
// that can be written into, and Error(usage) where it names a folder, and where --json names what
// another option reads or writes: it would replace it.
void check_paths_to_write(const Options& given);

}  // namespace seqrank

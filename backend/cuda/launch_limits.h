// What people are told when a launch is more than the device can do. For the launches of both
// devices; asks none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "backend/check.h"

namespace seqrank::cuda {

// Of __PRETTY_FUNCTION__ of a function with the template argument `kernel`:
// "... [with auto kernel = space::NAME<arguments>; Args = ...]".
inline std::string kernel_name(std::string_view function) {
  function.remove_prefix(function.find("kernel = ") + 9);
  function = function.substr(0, function.find_first_of(";]"));
  const std::size_t space = function.rfind("::", function.find('<'));
  if (space != function.npos) function.remove_prefix(space + 2);
  return std::string(function);
}

// Throws Error(device) where a block wants more shared memory than the device gives one.
inline void expect_shared_memory(const std::string& kernel, std::size_t wanted, std::size_t limit) {
  SR_CHECK(wanted <= limit, ErrorKind::device,
           "{} needs {:.1f} KiB of shared memory a block, this device has {:.1f} KiB; make what it "
           "works on narrower: lower --model.width, or give attention more heads",
           kernel, static_cast<double>(wanted) / 1024, static_cast<double>(limit) / 1024);
}

}  // namespace seqrank::cuda

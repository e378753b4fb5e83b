// What a device brings to a Context. Implemented by backend/cuda/device.cc, or by no_cuda.cc in a
// program built without CUDA.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/memory.h"
#include "backend/stream.h"

namespace seqrank {

namespace cuda {
struct Handles;  // of vendor libraries; backend/cuda/handles.h
}

struct DeviceParts {
  std::shared_ptr<Stream> compute, upload;
  std::unique_ptr<Memory> memory, pinned;
  std::shared_ptr<cuda::Handles> handles;
};

// Throws Error(device), in words, where there is no such device.
DeviceParts make_cuda_parts(int ordinal);
// Of a device that is imagined: see Context::Planned. Throws Error(device) in a program built
// without CUDA.
DeviceParts make_planned_cuda_parts();
std::shared_ptr<Stream> make_cuda_stream(int ordinal, const std::string& name);

bool built_with_cuda();
int cuda_devices();           // how many this process sees; 0 without driver or CUDA
std::int64_t device_waits();  // how often a host thread of this process waited for a device
std::string why_no_cuda();    // in a few words; "" where there is a device

}  // namespace seqrank

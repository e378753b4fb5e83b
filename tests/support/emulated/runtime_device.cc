// The emulated device: CUDA's functions for devices, errors and versions.
#include <fmt/core.h>

#include <cstring>
#include <utility>

#include "tests/support/emulated/state.h"

using seqrank::emu::Entry;
using seqrank::emu::fail;
using seqrank::emu::options;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = options().devices;
  return *count > 0 ? cudaSuccess : seqrank::emu::last_error = cudaErrorNoDevice;
}

cudaError_t cudaGetDevice(int* device) {
  *device = seqrank::emu::current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const Entry entry("cudaSetDevice");
  if (device < 0 || device >= options().devices) {
    return fail(cudaErrorInvalidDevice, fmt::format("cudaSetDevice: no device {}", device));
  }
  seqrank::emu::current_device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  const Entry entry("cudaGetDeviceProperties");
  if (device < 0 || device >= options().devices) {
    return fail(cudaErrorInvalidDevice, "cudaGetDeviceProperties: no such device");
  }
  *p = {};
  std::strcpy(p->name, "emulated device");
  p->major = 9;
  p->warpSize = 32;
  p->multiProcessorCount = 4;
  p->maxThreadsPerBlock = 1024;
  p->sharedMemPerBlock = 48 << 10;
  p->sharedMemPerBlockOptin = seqrank::emu::kSharedMemory;
  p->totalGlobalMem = options().device_memory;
  p->pciBusID = device + 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const cudaError_t error = cudaGetDeviceProperties(&p, device); error != cudaSuccess) {
    return error;
  }
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrConcurrentManagedAccess:
      *value = options().managed_access ? 1 : 0;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    default:
      return fail(cudaErrorInvalidValue,
                  fmt::format("cudaDeviceGetAttribute: the emulated device does not know {}; add "
                              "it to runtime_device.cc",
                              static_cast<int>(attribute)));
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  const std::string id = fmt::format("0000:{:02x}:00.0", device + 1);
  if (length <= static_cast<int>(id.size())) return cudaErrorInvalidValue;
  std::strcpy(text, id.c_str());
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = device != peer;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  return std::exchange(seqrank::emu::last_error, cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  return seqrank::emu::last_error;
}

namespace {

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
};

const ErrorText& text_of(cudaError_t error) {
  for (const ErrorText& e : kErrors) {
    if (e.error == error) return e;
  }
  static constexpr ErrorText unknown = {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
  return unknown;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  return text_of(error).name;
}

const char* cudaGetErrorString(cudaError_t error) {
  return text_of(error).text;
}

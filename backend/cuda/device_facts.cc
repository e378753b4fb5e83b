// What the CUDA runtime says of driver, devices and the ways between them, for `seqrank doctor`.
// Computes nothing.
#include <cuda_runtime_api.h>

#include <utility>

#include "backend/cuda/gemm.h"
#include "backend/cuda/handles.h"
#include "backend/cuda/rnn.h"
#include "backend/device.h"
#include "backend/device_facts.h"

namespace seqrank {
namespace {

cudaError_t read_device(int ordinal, int devices, DeviceFacts& facts) {
  cudaDeviceProp properties{};
  char pci[32] = "";
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, ordinal)) return error;
  if (const cudaError_t error = cudaDeviceGetPCIBusId(pci, sizeof pci, ordinal)) return error;
  facts.name = properties.name;
  facts.pci = pci;
  facts.capability = fmt::format("{}.{}", properties.major, properties.minor);
  facts.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  for (int peer = 0; peer < devices; ++peer) {
    int can = 0;
    if (peer == ordinal) continue;
    if (const cudaError_t error = cudaDeviceCanAccessPeer(&can, ordinal, peer)) return error;
    if (can != 0) facts.peers.push_back(peer);
  }
  return cudaSuccess;
}

}  // namespace

CudaFacts cuda_facts() {
  CudaFacts facts;
  facts.built = true;
  facts.missing = why_no_cuda();
  if (cudaDriverGetVersion(&facts.driver) != cudaSuccess) facts.driver = 0;
  if (cudaRuntimeGetVersion(&facts.runtime) != cudaSuccess) facts.runtime = CUDART_VERSION;
  const int devices = cuda_devices();
  for (int ordinal = 0; ordinal < devices; ++ordinal) {
    const cudaError_t error = read_device(ordinal, devices, facts.devices.emplace_back());
    if (error == cudaSuccess) continue;
    facts.missing = fmt::format("device {}: {}", ordinal, cudaGetErrorString(error));
    facts.devices.clear();
    break;
  }
  cudaGetLastError();  // it is told above
  return facts;
}

std::map<std::string, std::string> cuda_library_versions() {
  return {{"cuBLASLt", cuda::gemm_library_version()}, {"cuDNN", cuda::rnn_library_version()}};
}

std::vector<std::string> take_device_notes(Context& ctx) {
  if (ctx.device() == Device::cpu) return {};
  return std::exchange(ctx.handles().notes, {});
}

}  // namespace seqrank

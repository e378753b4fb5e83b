// Part of the runtime: the host's memory as a CUDA device sees it.
#include <algorithm>

#include "backend/cuda/runtime.h"
#include "backend/mapped_memory.h"

namespace seqrank {
namespace cuda {
namespace {

// Managed memory that is told where it lies, and stays there: pages on the host are read and
// written over the bus, as pinned memory is, and do not move to the device when it touches them.
// The host's own hands stay off it.
class MappedMemory final : public Memory {
 public:
  MappedMemory(CudaStream& compute, double device_share)
      : compute_(compute), ordinal_(compute.ordinal()), device_share_(device_share) {
    int may = 0;
    cuda_check(cudaDeviceGetAttribute(&may, cudaDevAttrConcurrentManagedAccess, ordinal_),
               "cudaDeviceGetAttribute");
    SR_CHECK(may != 0, ErrorKind::device,
             "this GPU, or its driver, cannot read the host's memory where it lies (managed memory "
             "with concurrent access): give --table.tier=memory");
  }
  void* obtain(std::size_t bytes) override {
    use_device(ordinal_);
    const auto on_device =
        std::min(bytes, static_cast<std::size_t>(device_share_ * static_cast<double>(bytes)));
    expect_free(on_device);
    void* block = nullptr;
    const cudaError_t error = cudaMallocManaged(&block, bytes, cudaMemAttachGlobal);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    cuda_check(error, "cudaMallocManaged");
    try {
      place(static_cast<char*>(block) + on_device, bytes - on_device, {cudaMemLocationTypeHost, 0});
      place(block, on_device, own());
    } catch (...) {
      cudaFree(block);
      throw;
    }
    return block;
  }
  // Freeing is in no stream's order, and may come after the context.
  void give_back(void* block) override {
    use_device(ordinal_);
    cudaDeviceSynchronize();
    cudaFree(block);
  }

 private:
  // The driver would make room by moving other pages of this kind to the host.
  static void expect_free(std::size_t bytes) {
    std::size_t available = 0, all = 0;
    cuda_check(cudaMemGetInfo(&available, &all), "cudaMemGetInfo");
    SR_CHECK(
        bytes <= available, ErrorKind::device,
        "the hot rows of a table would take {} MiB of the GPU's memory, and {} are free: lower "
        "--table.cache",
        bytes >> 20, available >> 20);
  }
  cudaMemLocation own() const { return {cudaMemLocationTypeDevice, ordinal_}; }
  void place(void* begin, std::size_t bytes, cudaMemLocation where) const {
    if (bytes == 0) return;
    cuda_check(cudaMemAdvise(begin, bytes, cudaMemAdviseSetPreferredLocation, where),
               "cudaMemAdvise");
    cuda_check(cudaMemAdvise(begin, bytes, cudaMemAdviseSetAccessedBy, own()), "cudaMemAdvise");
    // At once, not page by page as the device meets them.
    cuda_check(cudaMemPrefetchAsync(begin, bytes, where, 0, compute_.get()),
               "cudaMemPrefetchAsync");
  }

  CudaStream& compute_;
  int ordinal_;
  double device_share_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Memory> make_mapped_memory(Context& ctx, double device_share) {
  if (ctx.plans()) return make_planned_memory();
  SR_ASSERT(ctx.device() == Device::cuda, "a CPU's memory is the host's");
  return std::make_unique<cuda::MappedMemory>(static_cast<cuda::CudaStream&>(ctx.compute()),
                                              device_share);
}

}  // namespace seqrank

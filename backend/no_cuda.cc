// Stands for backend/cuda in a program built without it.
#include "backend/check.h"
#include "backend/device.h"
#include "backend/device_facts.h"
#include "backend/mapped_memory.h"

namespace seqrank {

constexpr const char* kWhy = "this program was built without CUDA (configure with --preset cuda)";

DeviceParts make_cuda_parts(int) {
  throw Error(ErrorKind::device, std::string("a CUDA device is wanted, but ") + kWhy);
}
DeviceParts make_planned_cuda_parts() {
  throw Error(ErrorKind::device, std::string("the memory of a CUDA device is wanted, but ") + kWhy);
}
std::shared_ptr<Stream> make_cuda_stream(int ordinal, const std::string&) {
  return make_cuda_parts(ordinal).compute;
}
std::unique_ptr<Memory> make_mapped_memory(Context& ctx, double) {
  return ctx.plans() ? make_planned_memory() : make_cuda_parts(0).memory;
}
bool built_with_cuda() {
  return false;
}
int cuda_devices() {
  return 0;
}
std::int64_t device_waits() {
  return 0;
}
std::string why_no_cuda() {
  return kWhy;
}
CudaFacts cuda_facts() {
  CudaFacts facts;
  facts.missing = kWhy;
  return facts;
}
std::map<std::string, std::string> cuda_library_versions() {
  return {};
}
std::vector<std::string> take_device_notes(Context&) {
  return {};
}

}  // namespace seqrank

// Stands for backend/cuda in a program built without it.
#include "backend/check.h"
#include "backend/device.h"

namespace seqrank {

constexpr const char* kWhy = "this program was built without CUDA (configure with --preset cuda)";

DeviceParts make_cuda_parts(int) {
  throw Error(ErrorKind::device, std::string("a CUDA device is wanted, but ") + kWhy);
}
std::shared_ptr<Stream> make_cuda_stream(int ordinal, const std::string&) {
  return make_cuda_parts(ordinal).compute;
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

}  // namespace seqrank

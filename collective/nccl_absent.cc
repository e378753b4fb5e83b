// Stands for nccl.cc in a program built without CUDA.
#include "backend/check.h"
#include "collective/nccl.h"

namespace seqrank {

std::unique_ptr<Communicator> make_nccl_communicator(Communicator&, int, double) {
  throw Error(ErrorKind::device,
              "NCCL is wanted, but this program was built without CUDA (configure with --preset "
              "cuda)");
}
std::string nccl_library_version() {
  return "";
}

}  // namespace seqrank

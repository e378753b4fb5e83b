// What there is of CUDA to compute on, for people. Finding it out computes nothing, makes no
// context on a device and never throws. Implemented by backend/cuda/device_facts.cc, or by
// no_cuda.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace seqrank {

class Context;

struct DeviceFacts {
  std::string name, pci;   // "NVIDIA H100 80GB HBM3", "0000:19:00.0"
  std::string capability;  // "9.0"
  std::int64_t memory_bytes = 0;
  std::vector<int> peers;  // ordinals of those whose memory it reaches
};

struct CudaFacts {
  bool built = false;                // into this program
  std::string missing;               // why_no_cuda()
  int driver = 0, runtime = 0;       // 13000: of CUDA 13.0; driver 0: none is installed
  std::vector<DeviceFacts> devices;  // by ordinal
};

CudaFacts cuda_facts();
// "cuDNN" -> "cuDNN 9.13.0"; empty in a program built without CUDA.
std::map<std::string, std::string> cuda_library_versions();
// Lines on what vendor libraries decided in this context since the last call: an algorithm, once a
// kind of layer.
std::vector<std::string> take_device_notes(Context& ctx);

}  // namespace seqrank

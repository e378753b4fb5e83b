// What every operator needs, passed as its first argument: device, compute stream, memory, number
// of threads. There are no singletons, so that several ranks can live as threads of one process.
// Knows no ranks.
#pragma once

#include <memory>
#include <string>

#include "backend/arena.h"
#include "backend/device.h"
#include "backend/keeper.h"
#include "backend/precision.h"
#include "backend/profile.h"
#include "backend/stream.h"
#include "backend/tensor.h"

namespace seqrank {

enum class Device { cpu, cuda };

// Whose LSTM and GRU a CUDA device runs: what backend/cuda/recurrence.cu chooses for the layer, or
// always the same, for tests and benchmarks. A CPU has one only.
enum class RecurrenceKernels { chosen, own, library };

class Context {
 public:
  // threads: of compute on a CPU; 0 = the size of this process's affinity mask. Sets the calling
  // thread's OpenMP count, and must be used from that thread. Throws Error(device) when the device
  // is not there or the processor lacks what the program was compiled for.
  // ordinal: which of the CUDA devices that this process sees.
  explicit Context(Device device = Device::cpu, int threads = 0, std::size_t memory_limit = 0,
                   int ordinal = 0);
  // A device that need not be there, on which operators check their arguments, take the memory that
  // they need, and compute nothing: arena().peak_bytes() says what the same calls would take. Their
  // results are undefined. Throws Error(device) for CUDA in a program built without.
  struct Planned {
    Device device = Device::cpu;
  };
  explicit Context(Planned planned, int threads = 0);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device device() const { return device_; }
  bool plans() const { return plans_; }
  bool plans_cpu() const { return plans_ && device_ == Device::cpu; }
  int threads() const { return threads_; }
  Stream& compute() { return *compute_; }
  Arena& arena() { return *arena_; }
  // Memory of the host that the device copies from and to; on a CPU the same as arena(). Batches
  // are made there (backend/transfer.h).
  Arena& host_arena() { return *host_arena_; }
  int ordinal() const { return ordinal_; }
  Stream& upload() { return *upload_; }
  Keeper& keeper() { return keeper_; }
  cuda::Handles& handles() { return *handles_; }  // backend/cuda alone

  // Of the products of linear(), recurrence(), softmax_cross_entropy() and attention, as this
  // device does them; matmul(), and with it every score, is fp32.
  Precision precision() const { return precision_; }
  // A CPU multiplies in fp32 where tf32 is wanted, or bf16 of a processor that has no products of
  // it: returns a line that says so, else "". fp16 on a CPU throws Error(usage).
  [[nodiscard]] std::string set_precision(Precision wanted);

  // Contents undefined; contiguous.
  Tensor empty(DType type, Shape shape, Tag tag = Tag::activation) {
    return Tensor(*arena_, type, shape, tag);
  }

  RecurrenceKernels recurrence_kernels() const { return recurrence_kernels_; }
  void set_recurrence_kernels(RecurrenceKernels kernels) { recurrence_kernels_ = kernels; }

  // Null unless set; not owned. Operators add their model FLOPs through count_flops().
  Profile* profile() { return profile_; }
  void set_profile(Profile* profile) { profile_ = profile; }
  void count_flops(double flops) {
    if (profile_ != nullptr) profile_->flops += flops;
  }

 private:
  void take(DeviceParts parts, std::size_t memory_limit);

  Device device_;
  bool plans_ = false;
  int threads_;
  int ordinal_;
  std::shared_ptr<Stream> compute_, upload_;
  std::shared_ptr<Arena> arena_, host_arena_;
  std::shared_ptr<cuda::Handles> handles_;
  Keeper keeper_;
  Precision precision_ = Precision::fp32;
  RecurrenceKernels recurrence_kernels_ = RecurrenceKernels::chosen;
  Profile* profile_ = nullptr;
};

int affinity_threads();  // processors this process may run on

}  // namespace seqrank

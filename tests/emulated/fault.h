// Faults that the tests of the emulated device plant, one at a time, to see that each is reported.
#pragma once

#include <string_view>

namespace seqrank::emu {

enum class Fault {
  // Of the training step with two ranks (step.h).
  step_without_fault,
  reduce_without_wait,    // the communication stream does not wait for the backward kernel
  update_without_wait,    // the optimiser does not wait for the reduced gradients
  record_too_early,       // the event is recorded before the backward kernel, not after
  wait_before_record,     // the wait is called before the event was ever recorded
  free_while_read,        // a bucket is freed while the communication stream still copies it
  read_before_copied,     // the host reads the loss before it has arrived
  refill_too_early,       // the host refills the batch's staging buffer during the copy
  read_out_of_bounds,     // a kernel reads one row beyond the batch
  grid_too_small,         // the last, partial block of a kernel is not launched
  missing_barrier,        // no __syncthreads between writing and reading shared memory
  blocks_without_atomic,  // blocks add to one number without an atomic
  host_dereferences,      // the host reads through a device pointer
  misaligned_vector,      // a float4 is loaded from an address that is not a multiple of 16
  call_in_host_task,      // a host task calls CUDA

  // Of the kernels (fault_kernels.h).
  kernels_without_fault,
  no_barrier_before_read,     // of what other warps have written
  no_barrier_after_read,      // before it is written again
  wait_one_group_short,       // of cp.async
  no_barrier_after_wait,      // other threads' copies are read
  no_barrier_at_end_of_tile,  // the next copies overwrite what is being read
  wrong_shuffle_mask,
  divergent_barrier,
  misaligned_copy,  // cp.async
  shared_array_too_small,
  count
};

inline constexpr std::string_view kFaultNames[] = {
    "step_without_fault",     "reduce_without_wait",    "update_without_wait",
    "record_too_early",       "wait_before_record",     "free_while_read",
    "read_before_copied",     "refill_too_early",       "read_out_of_bounds",
    "grid_too_small",         "missing_barrier",        "blocks_without_atomic",
    "host_dereferences",      "misaligned_vector",      "call_in_host_task",
    "kernels_without_fault",  "no_barrier_before_read", "no_barrier_after_read",
    "wait_one_group_short",   "no_barrier_after_wait",  "no_barrier_at_end_of_tile",
    "wrong_shuffle_mask",     "divergent_barrier",      "misaligned_copy",
    "shared_array_too_small",
};
static_assert(std::size(kFaultNames) == static_cast<std::size_t>(Fault::count));

inline Fault planted = Fault::step_without_fault;
inline bool is_planted(Fault fault) {
  return planted == fault;
}

}  // namespace seqrank::emu

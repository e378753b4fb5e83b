// CUDA's functions by which the threads of kernels meet, on the host. Kernels get them through
// device_code.h.
#pragma once

#include <atomic>
#include <type_traits>

#include "tests/support/emulated/simt.h"

inline constexpr int warpSize = 32;

// Barriers, votes and shuffles: the place of the call goes into reports.

inline void __syncthreads(seqrank::simt::Place place = seqrank::simt::Place::current()) {
  seqrank::simt::sync_threads(place);
}
inline void __syncwarp(unsigned mask = ~0u,
                       seqrank::simt::Place place = seqrank::simt::Place::current()) {
  seqrank::simt::exchange(mask, {}, {"__syncwarp", true}, place);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              seqrank::simt::Place place = seqrank::simt::Place::current()) {
  return seqrank::simt::ballot(mask, predicate != 0, place);
}
inline int __any_sync(unsigned mask, int predicate,
                      seqrank::simt::Place place = seqrank::simt::Place::current()) {
  return seqrank::simt::ballot(mask, predicate != 0, place) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      seqrank::simt::Place place = seqrank::simt::Place::current()) {
  return seqrank::simt::ballot(mask, predicate == 0, place) == 0;
}
// A GPU promises nothing about which lanes run together; here, all that have not ended.
inline unsigned __activemask() {
  return seqrank::simt::living_lanes();
}

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32,
              seqrank::simt::Place place = seqrank::simt::Place::current()) {
  const unsigned within = static_cast<unsigned>(width) - 1;
  const unsigned first = seqrank::simt::thread->lane & ~within;
  return seqrank::simt::from_lane(mask, v, first | (static_cast<unsigned>(source) & within),
                                  "__shfl_sync", place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32,
                  seqrank::simt::Place place = seqrank::simt::Place::current()) {
  const unsigned lane = seqrank::simt::thread->lane, w = static_cast<unsigned>(width);
  const unsigned source = lane ^ static_cast<unsigned>(bits);
  return seqrank::simt::from_lane(mask, v, source / w > lane / w ? lane : source, "__shfl_xor_sync",
                                  place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32,
                   seqrank::simt::Place place = seqrank::simt::Place::current()) {
  const unsigned lane = seqrank::simt::thread->lane, w = static_cast<unsigned>(width);
  return seqrank::simt::from_lane(mask, v, lane % w + by < w ? lane + by : lane, "__shfl_down_sync",
                                  place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32,
                 seqrank::simt::Place place = seqrank::simt::Place::current()) {
  const unsigned lane = seqrank::simt::thread->lane, w = static_cast<unsigned>(width);
  return seqrank::simt::from_lane(mask, v, lane % w >= by ? lane - by : lane, "__shfl_up_sync",
                                  place);
}

// Atomics: relaxed, as on a GPU: they order no other memory.

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_sub(v, std::memory_order_relaxed);
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).exchange(v, std::memory_order_relaxed);
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, v, std::memory_order_relaxed);
  return expected;  // what was there
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  static_assert(std::is_integral_v<T>);
  std::atomic_ref<T> target(*p);
  T old = target.load(std::memory_order_relaxed);
  while (old < v && !target.compare_exchange_weak(old, v, std::memory_order_relaxed)) {
  }
  return old;
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  static_assert(std::is_integral_v<T>);
  std::atomic_ref<T> target(*p);
  T old = target.load(std::memory_order_relaxed);
  while (v < old && !target.compare_exchange_weak(old, v, std::memory_order_relaxed)) {
  }
  return old;
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_or(v, std::memory_order_relaxed);
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_and(v, std::memory_order_relaxed);
}

[[noreturn]] inline void __trap(seqrank::simt::Place place = seqrank::simt::Place::current()) {
  seqrank::simt::die("__trap", place);
}

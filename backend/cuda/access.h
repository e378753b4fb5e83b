// What a launch does with device memory. Every device pointer reaches a kernel, a vendor wrapper or
// a host task through in(), out() or update(); a bare pointer does not compile. On a GPU the three
// are just the pointer; on the emulated device of the tests they are the declaration that order is
// checked against.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "backend/tensor.h"

namespace seqrank::cuda {

enum class Mode {
  read,    // read only; the kernel's parameter must be a pointer to const
  write,   // every element is written and none is read
  update,  // may be read and written
};

template <class T>
struct Access {
  T* data = nullptr;
  std::size_t count = 0;
  Mode mode = Mode::read;
};

template <class T>
Access<const T> in(std::span<T> s) {
  return {s.data(), s.size(), Mode::read};
}
template <class T>
Access<T> out(std::span<T> s) {
  static_assert(!std::is_const_v<T>);
  return {s.data(), s.size(), Mode::write};
}
template <class T>
Access<T> update(std::span<T> s) {
  static_assert(!std::is_const_v<T>);
  return {s.data(), s.size(), Mode::update};
}

// Of a whole tensor; an absent one is a null pointer. T is the element's type in kernels: float,
// double, std::int32_t, ..., and std::uint16_t for the bits of bf16 and f16.
template <class T>
std::span<T> elements(Tensor& x) {
  if (!x) return {};
  SR_ASSERT(sizeof(T) == dtype_size(x.dtype()), "{} elements used as {} bytes",
            dtype_name(x.dtype()), sizeof(T));
  return {static_cast<T*>(x.raw()), static_cast<std::size_t>(x.numel())};
}
template <class T>
std::span<const T> elements(const Tensor& x) {
  if (!x) return {};
  SR_ASSERT(sizeof(T) == dtype_size(x.dtype()), "{} elements used as {} bytes",
            dtype_name(x.dtype()), sizeof(T));
  return {static_cast<const T*>(x.raw()), static_cast<std::size_t>(x.numel())};
}
template <class T>
Access<const T> in(const Tensor& x) {
  return in(elements<T>(x));
}
template <class T>
Access<T> out(Tensor& x) {
  return out(elements<T>(x));
}
template <class T>
Access<T> update(Tensor& x) {
  return update(elements<T>(x));
}

}  // namespace seqrank::cuda

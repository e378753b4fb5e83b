// A contiguous, row-major, typed block of device memory. A Tensor is a handle: copying it shares
// the storage, copy_to() copies the elements. It has no arithmetic; operators are in backend/ops.
// A default-made Tensor is absent, and is how an optional operand (a bias, say) is left out.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "backend/arena.h"
#include "backend/check.h"

namespace seqrank {

enum class DType : std::uint8_t { f32, f64, bf16, f16, i32, i64, u8 };
std::size_t dtype_size(DType type);
const char* dtype_name(DType type);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::u8;
};

// At most four extents; any of them may be zero.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return extents_[i]; }
  std::int64_t numel() const;
  std::string str() const;  // "[32, 64]"
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, 4> extents_{};
  int rank_ = 0;
};

class Tensor {
 public:
  Tensor() = default;
  // Contents undefined.
  Tensor(Arena& arena, DType type, Shape shape, Tag tag);

  explicit operator bool() const { return storage_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int i) const { return shape_[i]; }
  std::int64_t numel() const { return shape_.numel(); }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * dtype_size(dtype_); }

  // Device addresses. data() and span() are for host memory: on the CPU, and of host_arena().
  void* raw() { return data_; }
  const void* raw() const { return data_; }
  template <class T>
  T* data() {
    check_type(DTypeOf<T>::value);
    if (storage_ && storage_->watched()) [[unlikely]]
      storage_->watched()->host_touches(data_, bytes(), true);
    return static_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    check_type(DTypeOf<T>::value);
    if (storage_ && storage_->watched()) [[unlikely]]
      storage_->watched()->host_touches(data_, bytes(), false);
    return static_cast<const T*>(data_);
  }
  template <class T>
  std::span<T> span() {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }

  // These share the storage.
  Tensor reshape(Shape shape) const;                              // same number of elements
  Tensor rows(std::int64_t begin, std::int64_t end) const;        // of the first extent
  Tensor flat_range(std::int64_t begin, std::int64_t end) const;  // 1-d piece of the elements

 private:
  void check_type(DType wanted) const {
    SR_ASSERT(dtype_ == wanted, "tensor is {}, used as {}", dtype_name(dtype_), dtype_name(wanted));
  }

  std::shared_ptr<Storage> storage_;
  void* data_ = nullptr;
  DType dtype_ = DType::f32;
  Shape shape_;
};

}  // namespace seqrank

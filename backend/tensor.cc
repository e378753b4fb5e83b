// Shapes, views and element types of Tensor; no loops over elements.
#include "backend/tensor.h"

#include <fmt/format.h>

namespace seqrank {

std::size_t dtype_size(DType type) {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

const char* dtype_name(DType type) {
  static constexpr const char* kNames[] = {"f32", "f64", "bf16", "f16", "i32", "i64", "u8"};
  return kNames[static_cast<int>(type)];
}

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  SR_ASSERT(extents.size() <= extents_.size(), "{} extents", extents.size());
  for (std::int64_t extent : extents) {
    SR_ASSERT(extent >= 0, "extent {}", extent);
    extents_[rank_++] = extent;
  }
}

std::int64_t Shape::numel() const {
  std::int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= extents_[i];
  return n;
}

std::string Shape::str() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += fmt::format("{}{}", i ? ", " : "", extents_[i]);
  return text + "]";
}

Tensor::Tensor(Arena& arena, DType type, Shape shape, Tag tag) : dtype_(type), shape_(shape) {
  storage_ = arena.allocate(static_cast<std::size_t>(shape.numel()) * dtype_size(type), tag);
  data_ = storage_->data();
}

Tensor Tensor::reshape(Shape shape) const {
  SR_ASSERT(shape.numel() == numel(), "{} as {}", shape_.str(), shape.str());
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  SR_ASSERT(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0],
            "rows {}..{} of {}", begin, end, shape_.str());
  const std::int64_t row = shape_[0] == 0 ? 0 : numel() / shape_[0];
  Tensor view = *this;
  view.data_ = static_cast<char*>(data_) + begin * row * dtype_size(dtype_);
  Shape shape;
  switch (shape_.rank()) {
    case 1:
      shape = {end - begin};
      break;
    case 2:
      shape = {end - begin, shape_[1]};
      break;
    case 3:
      shape = {end - begin, shape_[1], shape_[2]};
      break;
    default:
      shape = {end - begin, shape_[1], shape_[2], shape_[3]};
  }
  view.shape_ = shape;
  return view;
}

Tensor Tensor::flat_range(std::int64_t begin, std::int64_t end) const {
  return reshape({numel()}).rows(begin, end);
}

}  // namespace seqrank

// One primitive for each way of transposing and adding, made once, with extents and strides that
// are given at each call: kernels generated for one shape would be generated anew for every batch,
// since no two have the same number of events.
#include "backend/cpu/gemm_bf16.h"

#include <array>
#include <dnnl.hpp>

namespace seqrank::cpu {
namespace {

using dnnl::memory;

constexpr memory::dim kGiven = DNNL_RUNTIME_DIM_VAL;

memory::desc any_matrix(memory::data_type type, bool flipped) {
  return {{kGiven, kGiven},
          type,
          flipped ? memory::dims{1, kGiven} : memory::dims{kGiven, memory::dim{1}}};
}

memory::desc matrix(std::int64_t rows, std::int64_t columns, const MatrixView& view) {
  return {{rows, columns},
          memory::data_type::bf16,
          view.flipped() ? memory::dims{1, view.stride()} : memory::dims{view.stride(), 1}};
}

// Constant once made, so that any thread may use it.
class Products {
 public:
  Products() : engine_(dnnl::engine::kind::cpu, 0) {
    for (std::size_t i = 0; i < products_.size(); ++i) products_[i] = make(i & 1, i & 2, i & 4);
  }
  const dnnl::engine& engine() const { return engine_; }
  const dnnl::matmul& get(bool flipped_a, bool flipped_b, bool added) const {
    return products_[(flipped_a ? 1 : 0) + (flipped_b ? 2 : 0) + (added ? 4 : 0)];
  }

 private:
  dnnl::matmul make(bool flipped_a, bool flipped_b, bool added) const {
    dnnl::primitive_attr attributes;
    // The library's own scratch memory belongs to the thread that made the primitive.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops add;
    add.append_sum();
    if (added) attributes.set_post_ops(add);
    const dnnl::matmul::primitive_desc description(
        {any_matrix(memory::data_type::bf16, flipped_a),
         any_matrix(memory::data_type::bf16, flipped_b), any_matrix(memory::data_type::f32, false)},
        attributes, engine_);
    SR_ASSERT(description.scratchpad_desc().get_size() == 0, "{} wants {} bytes of memory",
              description.impl_info_str(), description.scratchpad_desc().get_size());
    return dnnl::matmul(description);
  }

  dnnl::engine engine_;
  std::array<dnnl::matmul, 8> products_;
};

}  // namespace

int gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const MatrixView& a,
              const MatrixView& b, Into into, float* c, std::int64_t stride_c) {
  static const Products products;
  try {
    const dnnl::engine& engine = products.engine();
    dnnl::stream stream(engine);
    const memory::desc c_MN({m, n}, memory::data_type::f32, memory::dims{stride_c, 1});
    products.get(a.flipped(), b.flipped(), into == Into::added)
        .execute(stream,
                 {{DNNL_ARG_SRC, memory(matrix(m, k, a), engine, const_cast<void*>(a.data()))},
                  {DNNL_ARG_WEIGHTS, memory(matrix(k, n, b), engine, const_cast<void*>(b.data()))},
                  {DNNL_ARG_DST, memory(c_MN, engine, c)}});
    return 0;
  } catch (const dnnl::error& error) {
    return error.status;
  }
}

bool has_bf16_products() {
  const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

}  // namespace seqrank::cpu

// The transport of rank 0, whose peers are imagined, for planning: nothing moves, and what comes
// from others is as much as goes to them. Counts come back as they were sent; other tensors stay as
// they are.
#include <algorithm>

#include "collective/transport.h"

namespace seqrank {
namespace {

class PlannedTransport final : public Transport {
 public:
  explicit PlannedTransport(int size) : Transport(0, size) {}
  void agree(const Call&) override {}
  void all_reduce(const Call&, Tensor, Reduce) override {}
  void reduce_scatter(const Call&, Tensor, Reduce) override {}
  void all_gather(const Call&, Tensor) override {}
  void broadcast(const Call&, Tensor, int) override {}
  void all_to_all_v(const Call&, Tensor received, std::span<const std::int64_t>, Tensor sent,
                    std::span<const std::int64_t>) override {
    if (sent.dtype() == DType::i64)
      std::ranges::copy(sent.span<std::int64_t>(), received.data<std::int64_t>());
  }
  void barrier(const Call&) override {}
  // Of a colour there are as many as the caller says, all of them without a word; all are on one
  // host. This rank is the first, as rank 0 of the whole.
  std::shared_ptr<Transport> split(const Call& call, int, int) override {
    return std::make_shared<PlannedTransport>(call.detail > 0 ? call.detail : size());
  }
  std::shared_ptr<Transport> split_shared(const Call&) override {
    return std::make_shared<PlannedTransport>(size());
  }
  std::string algorithm(const Call&) const override { return "planned"; }
  void close() override {}
  [[noreturn]] void abort(const std::string& why, int exit_code) override {
    throw Error(static_cast<ErrorKind>(exit_code), why);
  }
  void abandon() noexcept override {}
};

}  // namespace

std::unique_ptr<Communicator> make_planned_communicator(int size) {
  return std::make_unique<Communicator>(std::make_shared<PlannedTransport>(size),
                                        make_planned_stream());
}

}  // namespace seqrank

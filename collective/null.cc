// The transport of a world of one: nothing moves, except all_to_all_v, which copies.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "collective/transport.h"

namespace seqrank {
namespace {

class NullTransport final : public Transport {
 public:
  NullTransport() : Transport(0, 1) {}
  void agree(const Call&) override {}
  void all_reduce(const Call&, Tensor, Reduce) override {}
  void reduce_scatter(const Call&, Tensor, Reduce) override {}
  void all_gather(const Call&, Tensor) override {}
  void broadcast(const Call&, Tensor, int) override {}
  void all_to_all_v(const Call&, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    SR_CHECK(receive_counts[0] == send_counts[0], ErrorKind::peers,
             "all_to_all_v: rank 0 sends {} elements to rank 0, which expects {}", send_counts[0],
             receive_counts[0]);
    std::memcpy(received.raw(), sent.raw(), sent.bytes());
  }
  void barrier(const Call&) override {}
  std::shared_ptr<Transport> split(const Call&, int, int) override {
    return std::make_shared<NullTransport>();
  }
  std::shared_ptr<Transport> split_shared(const Call&) override {
    return std::make_shared<NullTransport>();
  }
  std::string algorithm(const Call&) const override { return "none"; }
  void close() override {}
  [[noreturn]] void abort(const std::string&, int exit_code) override {
    std::fflush(nullptr);
    std::_Exit(exit_code);  // other threads may still run: no destructors under their feet
  }
  void abandon() noexcept override {}
};

}  // namespace

std::unique_ptr<Communicator> make_null_communicator() {
  return make_null_communicator(make_inline_stream());
}
std::unique_ptr<Communicator> make_null_communicator(std::shared_ptr<Stream> stream) {
  return std::make_unique<Communicator>(std::make_shared<NullTransport>(), std::move(stream));
}

}  // namespace seqrank

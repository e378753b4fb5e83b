// The thread that runs this waits for its copies itself, so that no host task of CUDA's ever waits.
#include "collective/staged.h"

#include <utility>

#include "backend/device.h"
#include "collective/transport.h"

namespace seqrank {
namespace {

class StagedTransport final : public Transport {
 public:
  StagedTransport(std::shared_ptr<Transport> host, std::shared_ptr<Stream> copies, Arena& pinned)
      : Transport(host->rank(), host->size()),
        host_(std::move(host)),
        copies_(std::move(copies)),
        pinned_(pinned) {}

  bool on_device() const override { return true; }
  void agree(const Call& call) override { host_->agree(call); }

  void all_reduce(const Call& call, Tensor x, Reduce op) override {
    Tensor staging = like(x);
    down(staging, x, {0, call.count});
    host_->all_reduce(call, staging, op);
    up(x, staging, {0, call.count});
  }

  void reduce_scatter(const Call& call, Tensor x, Reduce op) override {
    Tensor staging = like(x);
    down(staging, x, {0, call.count});
    host_->reduce_scatter(call, staging, op);
    up(x, staging, own_piece(call));
  }

  void all_gather(const Call& call, Tensor x) override {
    Tensor staging = like(x);
    down(staging, x, own_piece(call));
    host_->all_gather(call, staging);
    up(x, staging, {0, call.count});
  }

  void broadcast(const Call& call, Tensor x, int root) override {
    Tensor staging = like(x);
    if (rank() == root) down(staging, x, {0, call.count});
    host_->broadcast(call, staging, root);
    if (rank() != root) up(x, staging, {0, call.count});
  }

  void all_to_all_v(const Call& call, Tensor received, std::span<const std::int64_t> receive_counts,
                    Tensor sent, std::span<const std::int64_t> send_counts) override {
    Tensor to = like(received), from = like(sent);
    down(from, sent, {0, sent.numel()});
    host_->all_to_all_v(call, to, receive_counts, from, send_counts);
    up(received, to, {0, received.numel()});
  }

  void barrier(const Call& call) override { host_->barrier(call); }
  std::shared_ptr<Transport> split(const Call& call, int colour, int key) override {
    return std::make_shared<StagedTransport>(host_->split(call, colour, key), copies_, pinned_);
  }
  std::shared_ptr<Transport> split_shared(const Call& call) override {
    return std::make_shared<StagedTransport>(host_->split_shared(call), copies_, pinned_);
  }
  std::string algorithm(const Call& call) const override {
    return host_->algorithm(call) + ", staged";
  }
  void close() override { host_->close(); }
  [[noreturn]] void abort(const std::string& why, int exit_code) override {
    host_->abort(why, exit_code);
    std::abort();  // not reached, which the compiler cannot see through a virtual call
  }
  void abandon() noexcept override { host_->abandon(); }

 private:
  using Range = Communicator::Range;

  Range own_piece(const Call& call) const {
    return Communicator::piece_range(call.count, rank(), size());
  }
  Tensor like(const Tensor& x) { return Tensor(pinned_, x.dtype(), {x.numel()}, Tag::workspace); }

  // Elements of the device's x to their place in `staging`, and back; done when they return.
  void down(Tensor& staging, const Tensor& x, Range range) {
    const Tensor from = x.flat_range(range.begin, range.end);
    Tensor to = staging.flat_range(range.begin, range.end);
    copies_->copy(to.raw(), from.raw(), from.bytes(), Stream::Copy::to_host);
    copies_->synchronize();
  }
  void up(Tensor& x, const Tensor& staging, Range range) {
    const Tensor from = staging.flat_range(range.begin, range.end);
    Tensor to = x.flat_range(range.begin, range.end);
    copies_->copy(to.raw(), from.raw(), from.bytes(), Stream::Copy::to_device);
    copies_->synchronize();
  }

  std::shared_ptr<Transport> host_;
  std::shared_ptr<Stream> copies_;
  Arena& pinned_;
};

}  // namespace

std::unique_ptr<Communicator> make_staged_communicator(Communicator& host, Context& ctx) {
  SR_ASSERT(ctx.device() == Device::cuda, "tensors of a CPU need no staging");
  std::shared_ptr<Stream> copies = make_cuda_stream(ctx.ordinal(), "staged copies");
  return host.wrapped([&](std::shared_ptr<Transport> transport) {
    return std::make_shared<StagedTransport>(std::move(transport), copies, ctx.host_arena());
  });
}

}  // namespace seqrank

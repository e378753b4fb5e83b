// Checks of arguments and the exchanges of host values, which are written over the tensor
// collectives. No transport here.
#include "collective/communicator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <numeric>
#include <utility>

#include "collective/transport.h"

namespace seqrank {
namespace {

void check_present(const Tensor& x, const char* operation) {
  SR_CHECK(static_cast<bool>(x), ErrorKind::peers, "{}: the tensor is absent; allocate it first",
           operation);
}

void check_reducible(const Tensor& x, const char* operation) {
  check_present(x, operation);
  const DType type = x.dtype();
  SR_CHECK(type == DType::f32 || type == DType::f64 || type == DType::i32 || type == DType::i64,
           ErrorKind::peers, "{}: {} cannot be reduced; convert to f32, f64, i32 or i64", operation,
           dtype_name(type));
}

void check_root(int root, int size, const char* operation) {
  SR_CHECK(0 <= root && root < size, ErrorKind::peers, "{}: root {} of {} ranks; give 0 to {}",
           operation, root, size, size - 1);
}

void check_counts(const Tensor& x, std::span<const std::int64_t> counts, int size,
                  const char* which, const char* operation) {
  check_present(x, operation);
  SR_CHECK(static_cast<int>(counts.size()) == size, ErrorKind::peers,
           "{}: {} {} counts for {} ranks; give one a rank", operation, counts.size(), which, size);
  std::int64_t sum = 0;
  for (std::int64_t count : counts) {
    SR_CHECK(count >= 0, ErrorKind::peers, "{}: {} count {}; it must not be negative", operation,
             which, count);
    sum += count;
  }
  SR_CHECK(sum == x.numel(), ErrorKind::peers,
           "{}: {} counts add up to {}, the tensor has {} elements", operation, which, sum,
           x.numel());
}

bool overlap(const Tensor& a, const Tensor& b) {
  const auto* pa = static_cast<const std::byte*>(a.raw());
  const auto* pb = static_cast<const std::byte*>(b.raw());
  return pa < pb + b.bytes() && pb < pa + a.bytes();
}

}  // namespace

Communicator::Communicator(std::shared_ptr<Transport> transport, std::shared_ptr<Stream> stream)
    : transport_(std::move(transport)),
      stream_(std::move(stream)),
      rank_(transport_->rank()),
      size_(transport_->size()),
      exceptions_at_birth_(std::uncaught_exceptions()) {}

Communicator::~Communicator() {
  if (std::uncaught_exceptions() > exceptions_at_birth_) {
    transport_->abandon();
    return;
  }
  try {
    stream_->enqueue([transport = transport_] { transport->close(); });
    stream_->synchronize();
  } catch (...) {  // an error nobody waited for: the peers must not wait for this rank
    transport_->abandon();
  }
}

void Communicator::enqueue(Call call, std::function<void(Transport&, const Call&)> body) {
  call.sequence = sequence_++;
  stream_->enqueue(
      [transport = transport_, clock = clock_, log = log_, call, body = std::move(body)] {
        const auto begin = std::chrono::steady_clock::now();
        clock->running_since_ns = begin.time_since_epoch().count();
        transport->agree(call);
        body(*transport, call);
        const auto end = std::chrono::steady_clock::now();
        clock->running_since_ns = 0;
        const std::int64_t took = (end - begin).count();
        if (took > clock->longest_ns) clock->longest_ns = took;  // no other thread writes it
        if (log != nullptr)
          log->push_back({call.name(), transport->algorithm(call), call.bytes(), begin, end});
      });
}

void Communicator::all_reduce(Tensor& x, Reduce op) {
  check_reducible(x, "all_reduce");
  enqueue({Operation::all_reduce, x.dtype(), static_cast<int>(op), x.numel()},
          [x, op](Transport& transport, const Call& call) {
            if (call.count > 0) transport.all_reduce(call, x, op);
          });
}

void Communicator::reduce_scatter(Tensor& x, Reduce op) {
  check_reducible(x, "reduce_scatter");
  enqueue({Operation::reduce_scatter, x.dtype(), static_cast<int>(op), x.numel()},
          [x, op](Transport& transport, const Call& call) {
            if (call.count > 0) transport.reduce_scatter(call, x, op);
          });
}

void Communicator::all_gather(Tensor& x) {
  check_present(x, "all_gather");
  enqueue({Operation::all_gather, x.dtype(), 0, x.numel()},
          [x](Transport& transport, const Call& call) {
            if (call.count > 0) transport.all_gather(call, x);
          });
}

void Communicator::broadcast(Tensor& x, int root) {
  check_present(x, "broadcast");
  check_root(root, size_, "broadcast");
  enqueue({Operation::broadcast, x.dtype(), root, x.numel()},
          [x, root](Transport& transport, const Call& call) {
            if (call.count > 0) transport.broadcast(call, x, root);
          });
}

void Communicator::all_to_all_v(Tensor& received, std::span<const std::int64_t> receive_counts,
                                const Tensor& sent, std::span<const std::int64_t> send_counts) {
  check_counts(received, receive_counts, size_, "receive", "all_to_all_v");
  check_counts(sent, send_counts, size_, "send", "all_to_all_v");
  SR_CHECK(received.dtype() == sent.dtype(), ErrorKind::peers,
           "all_to_all_v: sends {}, receives {}; use one type", dtype_name(sent.dtype()),
           dtype_name(received.dtype()));
  SR_CHECK(!overlap(received, sent), ErrorKind::peers,
           "all_to_all_v: `received` and `sent` overlap; use separate tensors");
  enqueue({Operation::all_to_all_v, sent.dtype(), 0, 0, 0, sent.numel()},
          [received, sent, to = std::vector(send_counts.begin(), send_counts.end()),
           from = std::vector(receive_counts.begin(), receive_counts.end())](Transport& transport,
                                                                             const Call& call) {
            transport.all_to_all_v(call, received, from, sent, to);
          });
}

std::shared_ptr<const Communicator::Counted> Communicator::all_to_all_counted(
    const Tensor& sent, std::span<const std::int64_t> send_counts) {
  expect_host();
  check_counts(sent, send_counts, size_, "send", "all_to_all_counted");
  auto received = std::make_shared<Counted>();
  enqueue(
      {Operation::all_to_all_counted, sent.dtype(), 0, 0, 0, sent.numel()},
      [sent, received, arena = arena_, to = std::vector(send_counts.begin(), send_counts.end())](
          Transport& transport, const Call& call) {
        const std::vector<std::int64_t> one_each(to.size(), 1);
        Call of_counts = call;
        of_counts.dtype = DType::i64;
        Tensor told(*arena, DType::i64, {transport.size()}, Tag::workspace);
        Tensor heard(*arena, DType::i64, {transport.size()}, Tag::workspace);
        std::ranges::copy(to, told.data<std::int64_t>());
        transport.all_to_all_v(of_counts, heard, one_each, told, one_each);

        std::vector<std::int64_t>& from = received->counts;
        from.assign(heard.data<std::int64_t>(), heard.data<std::int64_t>() + to.size());
        const std::int64_t elements = std::accumulate(from.begin(), from.end(), std::int64_t{0});
        received->pieces = Tensor(*arena, call.dtype, {elements}, Tag::workspace);
        transport.all_to_all_v(call, received->pieces, from, sent, to);
      });
  return received;
}

void Communicator::barrier() {
  enqueue({Operation::barrier},
          [](Transport& transport, const Call& call) { transport.barrier(call); });
  stream_->synchronize();
}

std::unique_ptr<Communicator> Communicator::split(int colour, int key, int size) {
  SR_CHECK(colour >= 0, ErrorKind::peers, "split: colour {}; it must not be negative", colour);
  const Call call{Operation::split, DType::u8, size};
  auto part = make_part(call, [colour, key](Transport& transport, const Call& agreed) {
    return transport.split(agreed, colour, key);
  });
  SR_CHECK(size == 0 || part->size() == size, ErrorKind::peers,
           "split: {} ranks gave colour {}, not {}", part->size(), colour, size);
  return part;
}

std::unique_ptr<Communicator> Communicator::split_shared() {
  return make_part({Operation::split_shared}, [](Transport& transport, const Call& call) {
    return transport.split_shared(call);
  });
}

std::unique_ptr<Communicator> Communicator::wrapped(
    const std::function<std::shared_ptr<Transport>(std::shared_ptr<Transport>)>& wrap) {
  return make_part({Operation::split}, [&wrap](Transport& transport, const Call& call) {
    return wrap(transport.split(call, 0, transport.rank()));
  });
}

std::unique_ptr<Communicator> Communicator::make_part(
    Call call, std::function<std::shared_ptr<Transport>(Transport&, const Call&)> split) {
  std::shared_ptr<Transport> part;
  // By reference is safe: synchronize() returns after the task has run or was dropped.
  enqueue(call, [&part, &split](Transport& transport, const Call& made) {
    part = split(transport, made);
  });
  stream_->synchronize();
  auto made = std::make_unique<Communicator>(std::move(part), stream_);
  made->clock_ = clock_;  // one stream: one call at a time
  return made;
}

void Communicator::abort(const std::string& why, int exit_code) {
  transport_->abort(why, exit_code);
  std::abort();  // not reached, which the compiler cannot see through a virtual call
}

Communicator::Range Communicator::piece_range(std::int64_t n, int rank, int size) {
  SR_ASSERT(n >= 0 && 0 <= rank && rank < size, "piece {} of {} of {} elements", rank, size, n);
  const std::int64_t least = n / size;
  const std::int64_t longer = n % size;
  const std::int64_t begin = rank * least + std::min<std::int64_t>(rank, longer);
  return {begin, begin + least + (rank < longer ? 1 : 0)};
}

void Communicator::expect_host() const {
  SR_ASSERT(!transport_->on_device(),
            "values, texts and counts go through the host's communicator");
}

template <class T>
T Communicator::reduce_value(T value, Reduce op) {
  expect_host();
  Tensor x(*arena_, DTypeOf<T>::value, {1}, Tag::workspace);
  *x.data<T>() = value;
  all_reduce(x, op);
  stream_->synchronize();
  return *x.data<T>();
}

std::int64_t Communicator::all_reduce_value(std::int64_t value, Reduce op) {
  return reduce_value(value, op);
}

double Communicator::all_reduce_value(double value, Reduce op) {
  return reduce_value(value, op);
}

// Texts are laid end to end as whole 8-byte words, zero where another rank's text stands, and
// added: exact on integers, and one message instead of size().
std::vector<std::string> Communicator::all_gather_text(const std::string& text) {
  expect_host();
  Tensor lengths(*arena_, DType::i64, {size_}, Tag::workspace);
  std::ranges::fill(lengths.span<std::int64_t>(), 0);
  lengths.data<std::int64_t>()[rank_] = static_cast<std::int64_t>(text.size());
  all_reduce(lengths, Reduce::sum);
  stream_->synchronize();

  std::vector<std::int64_t> begin(size_ + 1, 0);  // in words
  for (int r = 0; r < size_; ++r)
    begin[r + 1] = begin[r] + (lengths.data<std::int64_t>()[r] + 7) / 8;
  Tensor words(*arena_, DType::i64, {begin[size_]}, Tag::workspace);
  std::ranges::fill(words.span<std::int64_t>(), 0);
  std::int64_t* first = words.data<std::int64_t>();
  std::memcpy(first + begin[rank_], text.data(), text.size());
  all_reduce(words, Reduce::sum);
  stream_->synchronize();

  std::vector<std::string> texts;
  for (int r = 0; r < size_; ++r) {
    texts.emplace_back(reinterpret_cast<const char*>(first + begin[r]),
                       static_cast<std::size_t>(lengths.data<std::int64_t>()[r]));
  }
  return texts;
}

std::string Communicator::broadcast_text(const std::string& text, int root) {
  check_root(root, size_, "broadcast_text");
  const std::int64_t mine = rank_ == root ? static_cast<std::int64_t>(text.size()) : 0;
  const std::int64_t length = all_reduce_value(mine, Reduce::max);
  Tensor bytes(*arena_, DType::u8, {length}, Tag::workspace);
  if (rank_ == root) std::memcpy(bytes.raw(), text.data(), text.size());
  broadcast(bytes, root);
  stream_->synchronize();
  return {reinterpret_cast<const char*>(bytes.raw()), static_cast<std::size_t>(length)};
}

}  // namespace seqrank

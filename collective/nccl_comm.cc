// Pieces of unequal length are one reduction or broadcast each, in one group, since NCCL's own
// reduce-scatter and all-gather know equal pieces only.
#include "collective/nccl_comm.h"

#include <fmt/format.h>
#include <nccl.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace seqrank {
namespace {

constexpr std::chrono::seconds kPeersWord{3};

ncclDataType_t nccl_type(DType type) {
  switch (type) {
    case DType::f32:
      return ncclFloat32;
    case DType::f64:
      return ncclFloat64;
    case DType::bf16:
      return ncclBfloat16;
    case DType::f16:
      return ncclFloat16;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    case DType::u8:
      return ncclUint8;
  }
  return ncclUint8;
}

ncclRedOp_t nccl_op(Reduce op) {
  if (op == Reduce::max) return ncclMax;
  if (op == Reduce::min) return ncclMin;
  return ncclSum;
}

// A piece of a tensor, as NCCL wants it.
struct Piece {
  void* data;
  std::size_t count;
};

Piece piece_of(Tensor& x, int rank, int size) {
  const auto range = Communicator::piece_range(x.numel(), rank, size);
  const auto width = static_cast<std::int64_t>(dtype_size(x.dtype()));
  return {static_cast<std::byte*>(x.raw()) + range.begin * width,
          static_cast<std::size_t>(range.end - range.begin)};
}

}  // namespace

std::string NcclComm::new_id() {
  ncclUniqueId id;
  const ncclResult_t result = ncclGetUniqueId(&id);
  SR_CHECK(result == ncclSuccess, ErrorKind::peers, "NCCL cannot listen on this host: {}",
           ncclGetErrorString(result));
  return {id.internal, sizeof(id.internal)};
}

// A result of NCCL's that is no error.
template <class Work>
int NcclComm::locked(const char* what, Work&& work) {
  ncclResult_t result = ncclSuccess;
  std::string last;
  {
    const std::lock_guard lock(mutex_);
    SR_CHECK(comm_ != nullptr, ErrorKind::peers, "NCCL was ended; an earlier message says why");
    result = work();
    if (result == ncclSuccess || result == ncclInProgress) return result;
    last = ncclGetLastError(comm_);
  }
  if (result == ncclRemoteError) std::this_thread::sleep_for(kPeersWord);
  throw Error(
      ErrorKind::peers,
      fmt::format("NCCL, {}: {} ({}); {}", what, ncclGetErrorString(result), last,
                  result == ncclInvalidUsage ? "start one rank a GPU"
                                             : "look for the first message of another rank"));
}

NcclComm::NcclComm(const std::string& id, int rank, int size) : NcclComm(rank, size) {
  ncclUniqueId unique;
  SR_ASSERT(id.size() == sizeof(unique.internal), "an id of {} bytes", id.size());
  std::memcpy(unique.internal, id.data(), id.size());
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const ncclResult_t result = ncclCommInitRankConfig(&comm_, size, unique, rank, &config);
  SR_CHECK(result == ncclSuccess || result == ncclInProgress, ErrorKind::peers,
           "NCCL cannot begin: {}", ncclGetErrorString(result));
}

NcclComm::~NcclComm() {
  if (comm_ == nullptr) return;
  if (finished_) {
    ncclCommDestroy(comm_);
  } else {
    ncclCommAbort(comm_);  // an error is unwinding; destroying would wait for what never comes
  }
}

bool NcclComm::settled() {
  ncclResult_t state = ncclSuccess;
  return locked("at work", [&] {
           const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
           return asked == ncclSuccess ? state : asked;
         }) == ncclSuccess;
}

// One group. `calls` gives each result to its argument.
template <class Calls>
void NcclComm::begin(const char* what, Calls&& calls) {
  locked(what, [&] {
    ncclResult_t first = ncclGroupStart();
    calls([&](ncclResult_t result) {
      if (first == ncclSuccess || first == ncclInProgress) first = result;
    });
    const ncclResult_t end = ncclGroupEnd();
    return first == ncclSuccess || first == ncclInProgress ? end : first;
  });
}

void NcclComm::all_reduce(Tensor& x, Reduce op, cudaStream_t stream) {
  begin("all_reduce", [&](auto&& call) {
    call(ncclAllReduce(x.raw(), x.raw(), static_cast<std::size_t>(x.numel()), nccl_type(x.dtype()),
                       nccl_op(op), comm_, stream));
  });
}

void NcclComm::reduce_scatter(Tensor& x, Reduce op, cudaStream_t stream) {
  const ncclDataType_t type = nccl_type(x.dtype());
  const Piece own = piece_of(x, rank_, size_);
  begin("reduce_scatter", [&](auto&& call) {
    if (x.numel() % size_ == 0) {
      call(ncclReduceScatter(x.raw(), own.data, own.count, type, nccl_op(op), comm_, stream));
      return;
    }
    for (int r = 0; r < size_; ++r) {
      const Piece piece = piece_of(x, r, size_);
      if (piece.count > 0)
        call(ncclReduce(piece.data, piece.data, piece.count, type, nccl_op(op), r, comm_, stream));
    }
  });
}

void NcclComm::all_gather(Tensor& x, cudaStream_t stream) {
  const ncclDataType_t type = nccl_type(x.dtype());
  const Piece own = piece_of(x, rank_, size_);
  begin("all_gather", [&](auto&& call) {
    if (x.numel() % size_ == 0) {
      call(ncclAllGather(own.data, x.raw(), own.count, type, comm_, stream));
      return;
    }
    for (int r = 0; r < size_; ++r) {
      const Piece piece = piece_of(x, r, size_);
      if (piece.count > 0)
        call(ncclBroadcast(piece.data, piece.data, piece.count, type, r, comm_, stream));
    }
  });
}

void NcclComm::broadcast(Tensor& x, int root, cudaStream_t stream) {
  begin("broadcast", [&](auto&& call) {
    call(ncclBroadcast(x.raw(), x.raw(), static_cast<std::size_t>(x.numel()), nccl_type(x.dtype()),
                       root, comm_, stream));
  });
}

void NcclComm::all_to_all_v(Tensor& received, std::span<const std::int64_t> receive_counts,
                            const Tensor& sent, std::span<const std::int64_t> send_counts,
                            cudaStream_t stream) {
  const ncclDataType_t type = nccl_type(sent.dtype());
  const auto width = static_cast<std::int64_t>(dtype_size(sent.dtype()));
  const auto* from = static_cast<const std::byte*>(sent.raw());
  auto* to = static_cast<std::byte*>(received.raw());
  begin("all_to_all_v", [&](auto&& call) {
    for (int r = 0; r < size_; ++r) {
      const auto n_sent = static_cast<std::size_t>(send_counts[r]);
      const auto n_received = static_cast<std::size_t>(receive_counts[r]);
      if (n_sent > 0) call(ncclSend(from, n_sent, type, r, comm_, stream));
      if (n_received > 0) call(ncclRecv(to, n_received, type, r, comm_, stream));
      from += send_counts[r] * width;
      to += receive_counts[r] * width;
    }
  });
}

std::unique_ptr<NcclComm> NcclComm::split(int colour, int key, int rank, int size) {
  std::unique_ptr<NcclComm> part(new NcclComm(rank, size));
  locked("split", [&] { return ncclCommSplit(comm_, colour, key, &part->comm_, nullptr); });
  return part;
}

void NcclComm::finish() {
  locked("ending", [&] { return ncclCommFinalize(comm_); });
  finished_ = true;
}

void NcclComm::abort() {
  const std::lock_guard lock(mutex_);
  if (comm_ != nullptr) ncclCommAbort(comm_);
  comm_ = nullptr;
}

std::string nccl_library_version() {
  int version = 0;
  ncclGetVersion(&version);
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace seqrank

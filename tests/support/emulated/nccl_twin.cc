// NCCL on the emulated device: the functions of the real nccl.h that collective/ calls, each
// carried out by the ranks' streams meeting over TCP, in threads or in processes. As with NCCL a
// stream is held up until all ranks have come, a call has reached its stream only once the
// communicator has settled, and two ranks on one device are refused. Where NCCL would hang because
// the ranks differ in their calls, this is a violation.
#include <fmt/format.h>
#include <nccl.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "collective/tcp_mesh.h"
#include "collective/tcp_transport.h"
#include "tests/support/emulated/runtime.h"

using seqrank::Arena;
using seqrank::Call;
using seqrank::DType;
using seqrank::Operation;
using seqrank::TcpMesh;
using seqrank::TcpTransport;
using seqrank::Tensor;
using Part = seqrank::TcpMesh::Part;

namespace {

constexpr int kPollsToSettle = 3;
constexpr double kMeetingSeconds = 60;

// What a communicator's tasks and threads share; outlives the handle.
struct Body {
  std::mutex mutex;                     // of what follows
  ncclResult_t state = ncclInProgress;  // as ncclCommGetAsyncError tells it
  std::string error;                    // of that
  std::function<void()> launch;         // of a group that has not reached its stream yet
  int polls = 0;                        // that it takes until then
  std::atomic<int> under_way = 0;       // groups on the stream
  std::atomic<bool> joined = false;     // what stands below is there
  std::atomic<bool> ended = false;      // by ncclCommAbort
  std::int64_t sequence = 0;            // of collectives
  std::shared_ptr<TcpMesh> mesh;        // once it has settled
  std::shared_ptr<TcpTransport> transport;
  int device = 0, rank = 0, size = 0;

  void settle(ncclResult_t result, const std::string& why = "") {
    const std::lock_guard lock(mutex);
    if (state != ncclInProgress && state != ncclSuccess) return;  // the first error stays
    state = result;
    error = why;
  }
  // An exchange has failed.
  void fail(const std::string& why) {
    if (ended) return;
    if (why.find("the ranks call different") != why.npos || why.find("which expects") != why.npos)
      seqrank::emu::violation("NCCL would hang or write elsewhere: " + why);
    settle(ncclRemoteError, why);
  }
};

struct Operand {
  enum Kind { all_reduce, reduce_scatter, reduce, all_gather, broadcast, send, receive } kind;
  const void* from;
  void* to;
  std::size_t count;
  ncclDataType_t type;
  ncclRedOp_t op;
  int peer;  // or the root
  std::shared_ptr<Body> body;
  cudaStream_t stream;
};

thread_local int depth = 0;
thread_local std::vector<Operand> group;

DType dtype(ncclDataType_t type) {
  switch (type) {
    case ncclFloat32:
      return DType::f32;
    case ncclFloat64:
      return DType::f64;
    case ncclBfloat16:
      return DType::bf16;
    case ncclFloat16:
      return DType::f16;
    case ncclInt32:
      return DType::i32;
    case ncclInt64:
      return DType::i64;
    default:
      return DType::u8;
  }
}

std::size_t bytes_of(const Operand& o, std::size_t count) {
  return count * seqrank::dtype_size(dtype(o.type));
}

seqrank::Reduce reduce_of(ncclRedOp_t op) {
  if (op == ncclMax) return seqrank::Reduce::max;
  return op == ncclMin ? seqrank::Reduce::min : seqrank::Reduce::sum;
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Body> body = std::make_shared<Body>();
};

namespace {

// Elements read and written, of the whole communicator.
std::size_t read_count(const Operand& o) {
  return o.kind == Operand::reduce_scatter ? o.count * o.body->size : o.count;
}
std::size_t written_count(const Operand& o) {
  if (o.kind == Operand::send) return 0;
  if (o.kind == Operand::reduce) return o.body->rank == o.peer ? o.count : 0;
  return o.kind == Operand::all_gather ? o.count * o.body->size : o.count;
}

void add_ranges(const Operand& o, std::vector<seqrank::emu::Range>& ranges) {
  const std::size_t width = bytes_of(o, 1);
  const bool reads =
      o.kind != Operand::receive && (o.kind != Operand::broadcast || o.body->rank == o.peer);
  if (reads) ranges.push_back({o.from, read_count(o), width, seqrank::cuda::Mode::read});
  if (written_count(o) > 0)
    ranges.push_back({o.to, written_count(o), width, seqrank::cuda::Mode::update});
}

// A collective, on the stream's thread. Tensors of the host stand for the device's.
void run_collective(const Operand& o, TcpTransport& transport, std::int64_t sequence,
                    const std::byte* from, std::byte* to) {
  Arena arena;
  const std::size_t pieces =
      o.kind == Operand::reduce_scatter || o.kind == Operand::all_gather ? o.body->size : 1;
  Tensor x(arena, dtype(o.type), {static_cast<std::int64_t>(o.count * pieces)},
           seqrank::Tag::workspace);
  auto* host = static_cast<std::byte*>(x.raw());
  const std::size_t own = bytes_of(o, o.count) * o.body->rank;  // where this rank's piece is
  const bool is_root = o.body->rank == o.peer;
  const auto call = [&](Operation operation, int detail) {
    return Call{operation, x.dtype(), detail, x.numel(), sequence};
  };
  switch (o.kind) {
    case Operand::all_reduce:
    case Operand::reduce:
      std::memcpy(host, from, x.bytes());
      transport.all_reduce(call(Operation::all_reduce, o.op), x, reduce_of(o.op));
      if (o.kind == Operand::all_reduce || is_root) std::memcpy(to, host, x.bytes());
      break;
    case Operand::reduce_scatter:
      std::memcpy(host, from, x.bytes());
      transport.reduce_scatter(call(Operation::reduce_scatter, o.op), x, reduce_of(o.op));
      std::memcpy(to, host + own, bytes_of(o, o.count));
      break;
    case Operand::all_gather:
      std::memcpy(host + own, from, bytes_of(o, o.count));
      transport.all_gather(call(Operation::all_gather, 0), x);
      std::memcpy(to, host, x.bytes());
      break;
    case Operand::broadcast:
      if (is_root) std::memcpy(host, from, x.bytes());
      transport.broadcast(call(Operation::broadcast, o.peer), x, o.peer);
      if (!is_root) std::memcpy(to, host, x.bytes());
      break;
    case Operand::send:
    case Operand::receive:
      break;
  }
}

struct OnHost {
  Operand operand;
  std::byte* from;
  std::byte* to;
};

// All messages of a group at once, as NCCL does.
void run_messages(const std::vector<OnHost>& operands, TcpTransport& transport) {
  std::vector<Part> sends, receives;
  Part own_sent{}, own_received{};
  DType type = DType::u8;
  for (const OnHost& o : operands) {
    const auto bytes = static_cast<std::int64_t>(bytes_of(o.operand, o.operand.count));
    const bool own = o.operand.peer == transport.rank();
    type = dtype(o.operand.type);
    if (o.operand.kind == Operand::send)
      (own ? own_sent : sends.emplace_back()) = {o.operand.peer, o.from, bytes};
    if (o.operand.kind == Operand::receive)
      (own ? own_received : receives.emplace_back()) = {o.operand.peer, o.to, bytes};
  }
  if (own_sent.bytes > 0) std::memcpy(own_received.data, own_sent.data, own_sent.bytes);
  transport.exchange({Operation::all_to_all_v, type}, std::move(sends), std::move(receives));
}

void run_group(const std::vector<OnHost>& operands, Body& body) {
  try {
    std::vector<OnHost> messages;
    for (const OnHost& o : operands) {
      if (o.operand.kind == Operand::send || o.operand.kind == Operand::receive) {
        messages.push_back(o);
      } else {
        run_collective(o.operand, *body.transport, body.sequence++, o.from, o.to);
      }
    }
    if (!messages.empty()) run_messages(messages, *body.transport);
  } catch (const seqrank::Error& error) {
    body.fail(error.what());
  }
  --body.under_way;
}

std::string name_of(const std::vector<Operand>& operands) {
  constexpr const char* kNames[] = {"all_reduce", "reduce_scatter", "reduce", "all_gather",
                                    "broadcast",  "send",           "receive"};
  const std::string first = fmt::format("NCCL {}", kNames[operands[0].kind]);
  return operands.size() == 1 ? first : fmt::format("{} and {} more", first, operands.size() - 1);
}

void launch_group(const std::vector<Operand>& operands, const std::shared_ptr<Body>& body) {
  std::vector<seqrank::emu::Range> ranges;
  std::vector<OnHost> on_host;
  for (const Operand& o : operands) {
    add_ranges(o, ranges);
    const auto address = [&](const void* p, std::size_t count) {
      return static_cast<std::byte*>(seqrank::emu::host_address(p, bytes_of(o, count)));
    };
    on_host.push_back({o, o.from == nullptr ? nullptr : address(o.from, read_count(o)),
                       address(o.to, written_count(o))});
  }
  ++body->under_way;
  int before = 0;
  cudaGetDevice(&before);  // whoever polls, it is this communicator's device that works
  cudaSetDevice(body->device);
  seqrank::emu::enqueue(operands[0].stream, name_of(operands), std::move(ranges),
                        [on_host = std::move(on_host), body = body]() mutable {
                          run_group(on_host, *body);
                          // Here, where TSan sees it: what the runtime drops, it does not.
                          on_host.clear();
                          body.reset();
                        });
  cudaSetDevice(before);
}

ncclResult_t add(const Operand& operand) {
  group.push_back(operand);
  if (depth > 0) return ncclSuccess;
  ++depth;
  return ncclGroupEnd();
}

void refuse_shared_devices(Body& body) {
  Arena arena;
  Tensor devices(arena, DType::i64, {body.size}, seqrank::Tag::workspace);
  devices.data<std::int64_t>()[body.rank] = body.device;
  body.transport->all_gather({Operation::all_gather, DType::i64, 0, body.size, -1}, devices);
  for (int a = 0; a < body.size; ++a)
    for (int b = 0; b < a; ++b)
      if (body.mesh->node(a) == body.mesh->node(b) &&
          devices.data<std::int64_t>()[a] == devices.data<std::int64_t>()[b])
        throw std::invalid_argument(
            fmt::format("Duplicate GPU detected : rank {} and rank {} both on CUDA device {}", b, a,
                        devices.data<std::int64_t>()[a]));
}

// `begin` on a thread of its own; the communicator settles when that is done.
void in_background(std::shared_ptr<Body> body, std::function<void()> begin) {
  std::thread([body = std::move(body), begin = std::move(begin)] {
    try {
      begin();
      body->settle(ncclSuccess);
    } catch (const std::invalid_argument& error) {
      body->settle(ncclInvalidUsage, error.what());
    } catch (const seqrank::Error& error) {
      body->fail(error.what());
    }
  }).detach();
}

// From now on, until `begin` is done.
void unsettle(Body& body) {
  const std::lock_guard lock(body.mutex);
  if (body.state == ncclSuccess) body.state = ncclInProgress;
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  std::string folder = (std::filesystem::temp_directory_path() / "emulated-nccl-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return ncclSystemError;
  std::strncpy(id->internal, folder.c_str(), sizeof(id->internal) - 1);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* result, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidUsage;  // nobody here may block
  auto* comm = *result = new ncclComm;
  comm->body->rank = rank;
  comm->body->size = size;
  cudaGetDevice(&comm->body->device);
  in_background(comm->body, [body = comm->body.get(), folder = std::string(id.internal)] {
    const seqrank::TcpMeeting meeting{body->rank, body->size,          "",
                                      0,          folder + "/meeting", kMeetingSeconds};
    body->mesh = std::make_shared<TcpMesh>(seqrank::meet(meeting), body->rank, 0);
    body->transport = std::make_shared<TcpTransport>(body->mesh);
    body->joined = true;
    std::error_code ignored;
    if (body->rank == 0) std::filesystem::remove_all(folder, ignored);
    refuse_shared_devices(*body);
  });
  return ncclInProgress;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int colour, int key, ncclComm_t* result,
                           ncclConfig_t*) {
  if (comm->body->under_way > 0) seqrank::emu::violation("ncclCommSplit while calls are under way");
  auto* part = *result = new ncclComm;
  part->body->device = comm->body->device;
  unsettle(*comm->body);
  in_background(comm->body, [parent = comm->body, body = part->body, colour, key] {
    body->mesh = parent->mesh;
    body->transport = std::static_pointer_cast<TcpTransport>(parent->transport->split(
        {Operation::split, DType::u8, 0, 0, parent->sequence++}, colour, key));
    body->rank = body->transport->rank();
    body->size = body->transport->size();
    body->joined = true;
    body->settle(ncclSuccess);
  });
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  unsettle(*comm->body);
  in_background(comm->body, [body = comm->body] {
    if (body->under_way > 0) seqrank::emu::violation("ncclCommFinalize while calls are under way");
    body->transport->close();
  });
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->body->ended = true;
  if (comm->body->joined) comm->body->mesh->cut();
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  std::function<void()> launch;
  {
    const std::lock_guard lock(comm->body->mutex);
    if (comm->body->launch && --comm->body->polls == 0) launch.swap(comm->body->launch);
  }
  if (launch) {
    launch();
    comm->body->settle(ncclSuccess);
  }
  const std::lock_guard lock(comm->body->mutex);
  *state = comm->body->state;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  constexpr const char* kTexts[] = {"no error",
                                    "unhandled cuda error",
                                    "system error",
                                    "internal error",
                                    "invalid argument",
                                    "invalid usage",
                                    "remote process exited or there was a network error",
                                    "NCCL operation in progress"};
  return result >= 0 && result < 8 ? kTexts[result] : "unknown result code";
}

const char* ncclGetLastError(ncclComm_t comm) {
  return comm == nullptr ? "" : comm->body->error.c_str();
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (--depth > 0 || group.empty()) return ncclSuccess;
  const std::vector<Operand> operands = std::exchange(group, {});
  const std::shared_ptr<Body> body = operands[0].body;
  for (const Operand& o : operands)
    if (o.body != body || o.stream != operands[0].stream) return ncclInvalidUsage;
  const std::lock_guard lock(body->mutex);
  if (body->state != ncclSuccess)
    return body->state == ncclInProgress ? ncclInvalidUsage : body->state;
  body->state = ncclInProgress;
  body->polls = kPollsToSettle;
  body->launch = [operands, body] { launch_group(operands, body); };
  return ncclInProgress;
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return add({Operand::all_reduce, from, to, count, type, op, 0, comm->body, stream});
}
ncclResult_t ncclReduceScatter(const void* from, void* to, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return add({Operand::reduce_scatter, from, to, count, type, op, 0, comm->body, stream});
}
ncclResult_t ncclReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
  return add({Operand::reduce, from, to, count, type, op, root, comm->body, stream});
}
ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return add({Operand::all_gather, from, to, count, type, ncclSum, 0, comm->body, stream});
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return add({Operand::broadcast, from, to, count, type, ncclSum, root, comm->body, stream});
}
ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return add({Operand::send, from, nullptr, count, type, ncclSum, peer, comm->body, stream});
}
ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return add({Operand::receive, nullptr, to, count, type, ncclSum, peer, comm->body, stream});
}

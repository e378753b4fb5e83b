// Lays out a shard with HDF5 and moves its bytes; see checkpoint_shard.h.
#include "trainer/checkpoint_shard.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>

#include "data/file.h"
#include "data/hdf5.h"
#include "trainer/checksum.h"

namespace seqrank {
namespace {

constexpr int kReadFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;  // no links, no waiting on a FIFO

// HDF5 recovers badly from a full disk, so ask for the room before it writes a byte. File systems
// that cannot reserve say so, and the writes that follow tell.
void reserve(const File& file, std::int64_t bytes) {
  if (bytes == 0 || ::fallocate(file.descriptor(), 0, 0, bytes) == 0) return;
  const int code = errno;
  SR_CHECK(code == EOPNOTSUPP || code == ENOSYS || code == EINVAL, ErrorKind::checkpoint,
           "{}: cannot reserve {} bytes: {}", file.path(), bytes,
           std::system_category().message(code));
}

// The data sets without their elements; records say where those go.
ShardRecord lay_out(const std::string& path, std::int64_t step, std::span<const HostPiece> pieces) {
  const hdf5::QuietErrors quiet;
  hdf5::FileId file = hdf5::create(path);
  hdf5::write_attribute(file, path, "step", step);
  ShardRecord shard;
  for (const HostPiece& piece : pieces) {
    const std::int64_t offset =
        hdf5::create_column(file, path, piece.name, H5T_IEEE_F32LE, piece.end - piece.begin);
    shard.pieces.push_back({piece.name, piece.begin, piece.end, piece.total, offset, 0});
  }
  SR_CHECK(file.close(), ErrorKind::checkpoint, "{}: HDF5 cannot finish it: {}", path,
           hdf5::last_error());
  return shard;
}

std::uint64_t write_values(const File& file, const HostPiece& piece, std::int64_t offset) {
  constexpr std::int64_t kBlock = kIoBlock / sizeof(float);
  Checksum sum;
  std::vector<float> read;
  for (std::int64_t done = 0; done < piece.end - piece.begin; done += kBlock) {
    const std::int64_t elements = std::min(kBlock, piece.end - piece.begin - done);
    const float* block = piece.values() + done;
    if (piece.read) {
      read.resize(static_cast<std::size_t>(elements));
      piece.read(done, read);
      block = read.data();
    }
    const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
    sum.add(block, bytes);
    file.write_at(offset + done * 4, block, bytes);
  }
  return sum.sum();
}

std::string piece_text(const PieceRecord& piece) {
  return fmt::format("{} [{}, {})", piece.name, piece.begin, piece.end);
}

// Streams one piece through a block: memory stays bounded however large the piece is.
void read_piece(const File& file, const PieceRecord& piece, std::span<TensorPiece* const> wanted,
                std::span<char> block) {
  Checksum sum;
  const std::int64_t per_block = static_cast<std::int64_t>(block.size() / sizeof(float));
  for (std::int64_t at = piece.begin; at < piece.end; at += per_block) {
    const std::int64_t stop = std::min(at + per_block, piece.end);
    const std::size_t bytes = static_cast<std::size_t>(stop - at) * sizeof(float);
    file.read_at(piece.offset + (at - piece.begin) * 4, block.data(), bytes);
    sum.add(block.data(), bytes);
    for (TensorPiece* to : wanted) {
      const std::int64_t begin = std::max(at, to->begin), end = std::min(stop, to->end);
      if (begin >= end) continue;
      const auto* const from = reinterpret_cast<const float*>(block.data()) + (begin - at);
      if (to->write)
        to->write(begin - to->begin, {from, static_cast<std::size_t>(end - begin)});
      else
        std::copy(from, from + (end - begin), to->data.data<float>() + (begin - to->begin));
    }
  }
  SR_CHECK(sum.sum() == piece.sum, ErrorKind::checkpoint,
           "{}: {} has sum {}, the manifest says {}: damaged since it was verified", file.path(),
           piece_text(piece), sum_text(sum.sum()), sum_text(piece.sum));
}

// Of a file that does not match as a whole: the first piece that does not.
std::string name_damage(const File& file, const ShardRecord& shard) {
  for (const PieceRecord& piece : shard.pieces) {
    const std::uint64_t sum = checksum(file, piece.offset, piece.offset + piece.bytes());
    if (sum != piece.sum)
      return fmt::format("damaged is {}: sum {}, the manifest says {}", piece_text(piece),
                         sum_text(sum), sum_text(piece.sum));
  }
  return "the tensors are whole, HDF5's own bytes are not";
}

}  // namespace

ShardRecord write_shard(const std::string& path, std::int64_t step,
                        std::span<const HostPiece> pieces, const FaultPlan& faults, int rank) {
  faults.at("checkpoint.before_shard", rank);
  std::int64_t values = 0;
  for (const HostPiece& piece : pieces) values += piece.end - piece.begin;
  constexpr std::int64_t kHdf5Bytes = 1 << 16;  // about what the headers take
  reserve(File(path, O_WRONLY | O_CREAT | O_EXCL), values * 4 + kHdf5Bytes);
  ShardRecord shard = lay_out(path, step, pieces);

  const File file(path, O_RDWR | O_NOFOLLOW);
  shard.bytes = file.size();
  reserve(file, shard.bytes);
  for (std::size_t i = 0; i < pieces.size(); ++i)
    shard.pieces[i].sum = write_values(file, pieces[i], shard.pieces[i].offset);
  faults.at("checkpoint.after_shard_write", rank);
  file.sync();
  faults.at("checkpoint.after_shard_fsync", rank);
  SR_CHECK(file.size() == shard.bytes, ErrorKind::checkpoint,
           "{}: changed its length while it was written", path);
  shard.sum = checksum(file, 0, shard.bytes);
  return shard;
}

std::string verify_shard(const std::string& path, const ShardRecord& shard) {
  try {
    const File file(path, kReadFlags);
    const std::int64_t bytes = file.size();
    if (bytes != shard.bytes)
      return fmt::format("{}: {} bytes, the manifest says {}", path, bytes, shard.bytes);
    const std::uint64_t sum = checksum(file, 0, bytes);
    if (sum == shard.sum) return "";
    return fmt::format("{}: sum {}, the manifest says {}; {}", path, sum_text(sum),
                       sum_text(shard.sum), name_damage(file, shard));
  } catch (const Error& error) {
    return error.what();
  }
}

void read_shard(const std::string& path, const ShardRecord& shard, std::span<TensorPiece> wanted) {
  std::multimap<std::string, TensorPiece*> by_name;
  for (TensorPiece& piece : wanted) by_name.emplace(piece.name, &piece);
  File file;
  std::vector<char> block;
  for (const PieceRecord& piece : shard.pieces) {
    std::vector<TensorPiece*> takers;
    const auto [first, last] = by_name.equal_range(piece.name);
    for (auto it = first; it != last; ++it)
      if (std::max(piece.begin, it->second->begin) < std::min(piece.end, it->second->end))
        takers.push_back(it->second);
    if (takers.empty()) continue;
    if (file.descriptor() < 0) file = File(path, kReadFlags);
    const std::size_t bytes = std::min(kIoBlock, static_cast<std::size_t>(piece.bytes()));
    if (block.size() < bytes) block.resize(bytes);
    read_piece(file, piece, takers, block);
  }
}

}  // namespace seqrank

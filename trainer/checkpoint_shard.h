// One rank's HDF5 file of a checkpoint. HDF5 lays out one contiguous data set a piece, so that
// h5dump and h5py read it; the elements are written and read by offset, outside HDF5's global lock.
// Reading never parses HDF5: offsets come from the manifest and are checked against the file.
// Does not know manifests, ranks or steps other than as a label.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/checkpoint_manifest.h"
#include "trainer/fault.h"

namespace seqrank {

// A piece in host memory that training does not touch while it goes on, or one that is read while
// it is written.
struct HostPiece {
  std::string name;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t total = 0;
  std::vector<float> copy;  // end - begin elements
  Tensor given = {};        // in place of the copy
  ReadElements read = {};   // in place of both
  const float* values() const { return given ? given.data<float>() : copy.data(); }
};

// The file is on disk and its sum taken when this returns.
ShardRecord write_shard(const std::string& path, std::int64_t step,
                        std::span<const HostPiece> pieces, const FaultPlan& faults, int rank);

// Length and whole-file sum against the record. "" = good; else one line with both sums, and the
// piece that is damaged where one is.
std::string verify_shard(const std::string& path, const ShardRecord& shard);

// Copies into each wanted piece the elements that this shard holds. Throws Error(checkpoint) when
// a piece that was read does not match its sum; the wanted tensors are then undefined.
void read_shard(const std::string& path, const ShardRecord& shard, std::span<TensorPiece> wanted);

}  // namespace seqrank

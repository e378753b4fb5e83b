// Data sets written straight through HDF5, as other programs would, and wrong in chosen ways.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5.h"

namespace seqrank::test {

class RawDataset {
 public:
  explicit RawDataset(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)),
        timeless_(H5Pcreate(H5P_DATASET_CREATE)) {
    H5Pset_obj_track_times(timeless_.get(), false);
    for (const char* group : {"/sequence", "/event", "/item", "/user"})
      hdf5::GroupId(H5Gcreate2(file_.get(), group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  const hdf5::FileId& file() const { return file_; }

  // The smallest whole data set: two sequences of three and two events, times included.
  RawDataset& whole() {
    return version(1)
        .numbers("/sequence/offset", {0, 3, 5})
        .numbers("/event/item", {0, 1, 2, 2, 0}, H5T_STD_I32LE);
  }
  RawDataset& version(std::int64_t value) {
    hdf5::write_attribute(file_, "test", "schema_version", value);
    return *this;
  }
  RawDataset& numbers(const std::string& name, const std::vector<std::int64_t>& values,
                      hid_t type = H5T_STD_I64LE, hid_t creation = H5P_DEFAULT) {
    const hsize_t rows = values.size();
    const hdf5::SpaceId space(H5Screate_simple(1, &rows, nullptr));
    const hdf5::DatasetId column(
        H5Dcreate2(file_.get(), name.c_str(), type, space.get(), H5P_DEFAULT,
                   creation == H5P_DEFAULT ? timeless_.get() : creation, H5P_DEFAULT));
    H5Dwrite(column.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    return *this;
  }
  RawDataset& reals(const std::string& name, const std::vector<double>& values) {
    const hsize_t rows = values.size();
    const hdf5::SpaceId space(H5Screate_simple(1, &rows, nullptr));
    const hdf5::DatasetId column(H5Dcreate2(file_.get(), name.c_str(), H5T_IEEE_F64LE, space.get(),
                                            H5P_DEFAULT, timeless_.get(), H5P_DEFAULT));
    H5Dwrite(column.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    return *this;
  }
  RawDataset& variable_strings(const std::string& name, const std::vector<const char*>& values) {
    const hsize_t rows = values.size();
    const hdf5::SpaceId space(H5Screate_simple(1, &rows, nullptr));
    const hdf5::TypeId type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.get(), H5T_VARIABLE);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    const hdf5::DatasetId column(H5Dcreate2(file_.get(), name.c_str(), type.get(), space.get(),
                                            H5P_DEFAULT, timeless_.get(), H5P_DEFAULT));
    H5Dwrite(column.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    return *this;
  }
  void close() { file_.close(); }

 private:
  hdf5::FileId file_;
  hdf5::PropertyId timeless_;  // the same bytes whenever it is written
};

// Chunked, with deflate and the other two known filters.
inline hdf5::PropertyId packed_chunks(hsize_t rows) {
  hdf5::PropertyId creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(creation.get(), 1, &rows);
  H5Pset_shuffle(creation.get());
  H5Pset_deflate(creation.get(), 4);
  H5Pset_fletcher32(creation.get());
  return creation;
}

}  // namespace seqrank::test

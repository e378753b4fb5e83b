// The HDF5 library behind RAII handles and Errors. The only place in data that includes its header.
// Bulk columns do not pass through here: they are read and written by pread and pwrite.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace seqrank::hdf5 {

// Owns one identifier. A failed close is ignored here: whoever writes closes the file by close().
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }
  hid_t get() const { return id_; }
  bool close() { return Close(std::exchange(id_, -1)) >= 0; }
  explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
};

using FileId = Handle<H5Fclose>;
using GroupId = Handle<H5Gclose>;
using DatasetId = Handle<H5Dclose>;
using SpaceId = Handle<H5Sclose>;
using TypeId = Handle<H5Tclose>;
using AttributeId = Handle<H5Aclose>;
using PropertyId = Handle<H5Pclose>;

// While it lives, this thread's HDF5 errors are kept and not printed.
class QuietErrors {
 public:
  QuietErrors();
  ~QuietErrors();
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

// The innermost message of this thread's last error, "no reason given" when there is none.
std::string last_error();
// Throws Error(data) "path: what: <HDF5's reason>" if `result` is negative; else returns it.
std::int64_t checked(std::int64_t result, const std::string& path, const std::string& what);

// Without the library's locking: file systems that cannot lock must work.
FileId open_read_only(const std::string& path);
// Metadata of HDF5 1.8 or later, all of it under checksums.
FileId create(const std::string& path);

// A one-dimensional contiguous data set, space reserved, contents unwritten. Returns where its
// bytes are to be written in the file; 0 when there are none.
std::int64_t create_column(const FileId& file, const std::string& path, const std::string& name,
                           hid_t type, std::int64_t rows);
TypeId fixed_string(std::size_t bytes);  // UTF-8, padded with NUL

void write_attribute(const FileId& file, const std::string& path, const std::string& name,
                     std::int64_t value);
void write_attribute(const FileId& file, const std::string& path, const std::string& name,
                     double value);
void write_attribute(const FileId& file, const std::string& path, const std::string& name,
                     const std::string& value);

struct Attributes {
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> texts;
};
// Root attributes that hold one number or one string of fixed length, as ours are. Others are none
// of our business, and strings of variable length lie in the global heap (data/global_heap.h).
Attributes read_attributes(const FileId& file, const std::string& path);

}  // namespace seqrank::hdf5

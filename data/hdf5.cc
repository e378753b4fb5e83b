// Thin: each function is a few calls and their checks. Knows files, columns and attributes, not the
// schema.
#include "data/hdf5.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/check.h"

namespace seqrank::hdf5 {
namespace {

// Every handle of ours is closed by its owner. What HDF5 1.10 does at exit on top of that crashes
// when a file could not be closed (full disk), and would turn our exit code into a signal. Must
// come before the first other call, hence a static object.
[[maybe_unused]] const herr_t kNothingAtExit = H5dont_atexit();

herr_t keep_innermost(unsigned, const H5E_error2_t* error, void* out) {
  if (error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
  return 1;  // stop after the first, which H5E_WALK_UPWARD makes the innermost
}

void write_scalar(const FileId& file, const std::string& path, const std::string& name, hid_t type,
                  const void* value) {
  const std::string what = "attribute " + name + " cannot be written";
  SpaceId space(H5Screate(H5S_SCALAR));
  AttributeId attribute(
      H5Acreate2(file.get(), name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
  checked(attribute.get(), path, what);
  checked(H5Awrite(attribute.get(), type, value), path, what);
}

bool read_text(const AttributeId& attribute, const TypeId& type, std::string& out) {
  constexpr std::size_t kLongest = 1 << 16;
  const std::size_t bytes = H5Tget_size(type.get());
  if (bytes == 0 || bytes > kLongest) return false;
  std::vector<char> text(bytes + 1, '\0');
  if (H5Aread(attribute.get(), type.get(), text.data()) < 0) return false;
  out = text.data();
  return true;
}

}  // namespace

QuietErrors::QuietErrors() {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

QuietErrors::~QuietErrors() {
  H5Eset_auto2(H5E_DEFAULT, function_, data_);
}

std::string last_error() {
  std::string text = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::int64_t checked(std::int64_t result, const std::string& path, const std::string& what) {
  SR_CHECK(result >= 0, ErrorKind::data, "{}: {}: {}", path, what, last_error());
  return result;
}

FileId open_read_only(const std::string& path) {
  PropertyId access(H5Pcreate(H5P_FILE_ACCESS));
  checked(H5Pset_file_locking(access.get(), false, true), path, "cannot be opened");
  FileId file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  checked(file.get(), path, "damaged or cut short, HDF5 cannot open it");
  return file;
}

FileId create(const std::string& path) {
  PropertyId access(H5Pcreate(H5P_FILE_ACCESS));
  checked(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_LATEST), path,
          "cannot be made");
  checked(H5Pset_file_locking(access.get(), false, true), path, "cannot be made");
  PropertyId creation(H5Pcreate(H5P_FILE_CREATE));
  // Attributes stay in the root's header, where one checksum covers them all.
  checked(H5Pset_attr_phase_change(creation.get(), 1000, 500), path, "cannot be made");
  FileId file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()));
  checked(file.get(), path, "cannot be made");
  return file;
}

std::int64_t create_column(const FileId& file, const std::string& path, const std::string& name,
                           hid_t type, std::int64_t rows) {
  const std::string what = name + " cannot be made";
  PropertyId link(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(link.get(), 1);
  PropertyId creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_obj_track_times(creation.get(), false);  // equal content, equal bytes
  H5Pset_layout(creation.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  const hsize_t extent = static_cast<hsize_t>(rows);
  SpaceId space(H5Screate_simple(1, &extent, nullptr));
  DatasetId column(H5Dcreate2(file.get(), name.c_str(), type, space.get(), link.get(),
                              creation.get(), H5P_DEFAULT));
  checked(column.get(), path, what);
  if (rows == 0) return 0;
  const haddr_t offset = H5Dget_offset(column.get());
  SR_CHECK(offset != HADDR_UNDEF, ErrorKind::data, "{}: {}: {}", path, what, last_error());
  return static_cast<std::int64_t>(offset);
}

TypeId fixed_string(std::size_t bytes) {
  TypeId type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), bytes);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  return type;
}

void write_attribute(const FileId& file, const std::string& path, const std::string& name,
                     std::int64_t value) {
  write_scalar(file, path, name, H5T_NATIVE_INT64, &value);
}

void write_attribute(const FileId& file, const std::string& path, const std::string& name,
                     double value) {
  write_scalar(file, path, name, H5T_NATIVE_DOUBLE, &value);
}

void write_attribute(const FileId& file, const std::string& path, const std::string& name,
                     const std::string& value) {
  const TypeId type = fixed_string(std::max<std::size_t>(value.size(), 1));
  write_scalar(file, path, name, type.get(), value.c_str());
}

Attributes read_attributes(const FileId& file, const std::string& path) {
  constexpr hsize_t kMost = 1000;
  Attributes all;
  H5O_info_t info;
  checked(H5Oget_info2(file.get(), &info, H5O_INFO_NUM_ATTRS), path, "root cannot be read");
  for (hsize_t i = 0; i < std::min(info.num_attrs, kMost); ++i) {
    AttributeId attribute(H5Aopen_by_idx(file.get(), ".", H5_INDEX_NAME, H5_ITER_NATIVE, i,
                                         H5P_DEFAULT, H5P_DEFAULT));
    checked(attribute.get(), path, "an attribute of / cannot be read");
    char name[256] = "";
    checked(H5Aget_name(attribute.get(), sizeof name, name), path, "an attribute has no name");
    const TypeId type(H5Aget_type(attribute.get()));
    const SpaceId space(H5Aget_space(attribute.get()));
    checked(type.get(), path, fmt::format("attribute {} cannot be read", name));
    if (H5Sget_simple_extent_npoints(space.get()) != 1) continue;
    const H5T_class_t kind = H5Tget_class(type.get());
    if (kind == H5T_INTEGER || kind == H5T_FLOAT) {
      double value = 0;
      checked(H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &value), path,
              fmt::format("attribute {} cannot be read", name));
      all.numbers[name] = value;
    } else if (kind == H5T_STRING && H5Tis_variable_str(type.get()) == 0) {
      std::string value;
      SR_CHECK(read_text(attribute, type, value), ErrorKind::data,
               "{}: attribute {} cannot be read: {}", path, name, last_error());
      all.texts[name] = value;
    }
  }
  return all;
}

}  // namespace seqrank::hdf5

// Opening: the file itself, then form (data/column), then values (data/validate). HDF5 is closed
// before open() returns; what remains is a descriptor and 8 bytes a sequence.
#include "data/dataset.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "backend/check.h"
#include "data/column.h"
#include "data/features.h"
#include "data/file.h"
#include "data/fingerprint.h"
#include "data/hdf5.h"
#include "data/names.h"
#include "data/validate.h"

namespace seqrank {

struct Dataset::Impl {
  const Dataset* catalogue = nullptr;  // of histories: where the items are
  File file;
  std::vector<std::int64_t> offsets;
  NumberColumn<std::int32_t> item_column;
  std::optional<NumberColumn<std::int64_t>> time_column;
  std::optional<NumberColumn<std::uint8_t>> label_column;
  std::vector<std::uint8_t> splits;  // empty: the file has none
  bool last_targets_only = false;
  std::map<FeatureOf, FeatureColumns> features;
  Names names;  // of histories: of the sequences alone
  std::int64_t items = 0;
  std::string fingerprint;
  hdf5::Attributes attributes;

  // Itself, or whose items the histories have.
  const Impl& with_items() const { return catalogue ? catalogue->impl_->with_items() : *this; }
};

namespace {

File open_file(const std::string& path) {
  // Not blocking: a pipe is refused below instead of waited for.
  File file(path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  SR_CHECK(::fstat(file.descriptor(), &status) == 0 && S_ISREG(status.st_mode), ErrorKind::data,
           "{}: is not a regular file; give a data set made by 'seqrank prepare'", path);
  SR_CHECK(status.st_size > 0, ErrorKind::data, "{}: is empty", path);
  // Best effort: where the file system cannot lock, the data set is read all the same.
  SR_CHECK(::flock(file.descriptor(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK,
           ErrorKind::data, "{}: is being written by another program; wait until it is closed",
           path);
  return file;
}

// The library opens by name; a file replaced meanwhile must not be mixed with ours.
void check_same_file(const File& file, const hdf5::FileId& hdf5_file) {
  void* handle = nullptr;
  hdf5::checked(H5Fget_vfd_handle(hdf5_file.get(), H5P_DEFAULT, &handle), file.path(),
                "cannot be examined");
  struct stat ours {
  }, theirs{};
  SR_CHECK(::fstat(file.descriptor(), &ours) == 0 &&
               ::fstat(*static_cast<const int*>(handle), &theirs) == 0 &&
               ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino,
           ErrorKind::data, "{}: was replaced while it was opened; try again", file.path());
}

// Of a number, since texts are written in many ways and not all are read.
bool read_last_targets_only(const std::string& path, const hdf5::Attributes& attributes,
                            bool has_splits) {
  const auto found = attributes.numbers.find("last_targets_only");
  if (found == attributes.numbers.end() || found->second == 0) return false;
  SR_CHECK(found->second == 1 && has_splits, ErrorKind::data,
           "{}: attribute last_targets_only is {}; it may be 0, or 1 where there is a data set "
           "/sequence/split",
           path, found->second);
  return true;
}

}  // namespace

Dataset::Dataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;
Dataset::~Dataset() = default;

Dataset Dataset::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  Impl& d = *impl;
  d.file = open_file(path);
  const hdf5::QuietErrors quiet;
  SR_CHECK(H5Fis_hdf5(path.c_str()) > 0, ErrorKind::data,
           "{}: is not an HDF5 file; 'seqrank prepare' makes one from text", path);
  const hdf5::FileId hdf5_file = hdf5::open_read_only(path);
  check_same_file(d.file, hdf5_file);
  d.attributes = hdf5::read_attributes(hdf5_file, path);

  const NumberColumn<std::int64_t> offsets(d.file, hdf5_file, "/sequence/offset");
  d.item_column = NumberColumn<std::int32_t>(d.file, hdf5_file, "/event/item");
  check_attributes(path, d.attributes.numbers, offsets.rows() - 1, d.item_column.rows());
  Fingerprint fingerprint;
  d.offsets = read_offsets(d.file, offsets, d.item_column.rows(), fingerprint);
  d.items = check_items(d.file, d.item_column, declared_items(path, d.attributes), fingerprint);
  const auto sequences = static_cast<std::int64_t>(d.offsets.size()) - 1;
  if (has_column(d.file, hdf5_file, "/event/label")) {
    d.label_column.emplace(d.file, hdf5_file, "/event/label");
    check_labels(d.file, *d.label_column, d.offsets.back(), fingerprint);
  }
  if (has_column(d.file, hdf5_file, "/sequence/split")) {
    const NumberColumn<std::uint8_t> column(d.file, hdf5_file, "/sequence/split");
    d.splits = read_splits(d.file, column, sequences, fingerprint);
  }
  d.last_targets_only = read_last_targets_only(path, d.attributes, !d.splits.empty());
  for (const auto& [of, rows] :
       {std::pair(FeatureOf::event, d.offsets.back()), std::pair(FeatureOf::user, sequences),
        std::pair(FeatureOf::item, d.items)})
    d.features.emplace(of, FeatureColumns(d.file, hdf5_file, of, rows, fingerprint));
  d.fingerprint = fingerprint.hex();
  check_fingerprint(path, d.attributes, d.fingerprint);
  if (has_column(d.file, hdf5_file, "/event/time")) {
    d.time_column.emplace(d.file, hdf5_file, "/event/time");
    check_times(d.file, *d.time_column, d.offsets);
  }
  d.names = Names(d.file, hdf5_file, d.items, sequences);
  return Dataset(std::move(impl));
}

Dataset Dataset::of_histories(const Dataset& catalogue, std::span<const History> histories) {
  auto impl = std::make_unique<Impl>();
  Impl& d = *impl;
  d.catalogue = &catalogue;
  d.items = catalogue.items();
  d.offsets = {0};
  std::vector<std::int32_t> items;
  std::vector<std::int64_t> times;
  for (std::size_t h = 0; h < histories.size(); ++h) {
    const auto& [item, time] = histories[h];
    const auto wrong = std::ranges::find_if(
        item, [&](std::int32_t id) { return id < 0 || id >= catalogue.items(); });
    SR_CHECK(wrong == item.end(), ErrorKind::data,
             "history {}: event {}: item {}; there are items 0 to {}", h, wrong - item.begin(),
             *wrong, catalogue.items() - 1);
    SR_CHECK(time.empty() || time.size() == item.size(), ErrorKind::data,
             "history {}: has {} times of {} events", h, time.size(), item.size());
    const auto falls = std::ranges::is_sorted_until(time);
    SR_CHECK(falls == time.end(), ErrorKind::data,
             "history {}: event {}: time {} is before that of the event before it", h,
             falls - time.begin(), *falls);
    items.insert(items.end(), item.begin(), item.end());
    times.insert(times.end(), time.begin(), time.end());
    d.offsets.push_back(static_cast<std::int64_t>(items.size()));
  }
  if (times.size() == items.size()) d.time_column.emplace("/event/time", std::move(times));
  d.item_column = NumberColumn<std::int32_t>("/event/item", std::move(items));
  for (const FeatureOf of : {FeatureOf::event, FeatureOf::user}) d.features[of];
  d.names = Names(0, std::ssize(histories));
  return Dataset(std::move(impl));
}

const std::string& Dataset::path() const {
  return impl_->catalogue ? impl_->catalogue->path() : impl_->file.path();
}
std::int64_t Dataset::sequences() const {
  return static_cast<std::int64_t>(impl_->offsets.size()) - 1;
}
std::int64_t Dataset::items() const {
  return impl_->items;
}
std::int64_t Dataset::events() const {
  return impl_->offsets.back();
}
const std::string& Dataset::fingerprint() const {
  return impl_->fingerprint;
}
bool Dataset::has_times() const {
  return impl_->time_column.has_value();
}
bool Dataset::has_labels() const {
  return impl_->label_column.has_value();
}
bool Dataset::has_splits() const {
  return !impl_->splits.empty();
}
Split Dataset::split(std::int64_t sequence) const {
  SR_ASSERT(sequence >= 0 && sequence < sequences(), "sequence {} of {}", sequence, sequences());
  return has_splits() ? static_cast<Split>(impl_->splits[sequence]) : Split::train;
}
bool Dataset::last_targets_only() const {
  return impl_->last_targets_only;
}
bool Dataset::has_item_keys() const {
  return impl_->names.has_item_keys();
}
std::int64_t Dataset::begin(std::int64_t sequence) const {
  SR_ASSERT(sequence >= 0 && sequence < sequences(), "sequence {} of {}", sequence, sequences());
  return impl_->offsets[sequence];
}
std::int64_t Dataset::length(std::int64_t sequence) const {
  return impl_->offsets[sequence + 1] - begin(sequence);
}

void Dataset::read_items(std::int64_t begin, std::span<std::int32_t> out) const {
  impl_->item_column.read(impl_->file, begin, out);
  // They were in range when opened; an id that is not would be used as an address.
  for (const std::int32_t item : out) {
    SR_CHECK(item >= 0 && item < impl_->items, ErrorKind::data,
             "{}: /event/item: row {} or later: value {}: the file was changed since it was opened",
             path(), begin, item);
  }
}

void Dataset::read_times(std::int64_t begin, std::span<std::int64_t> out) const {
  SR_CHECK(has_times(), ErrorKind::data, "{}: has no data set /event/time", path());
  impl_->time_column->read(impl_->file, begin, out);
}

void Dataset::read_labels(std::int64_t begin, std::span<std::uint8_t> out) const {
  SR_CHECK(has_labels(), ErrorKind::data, "{}: has no data set /event/label", path());
  impl_->label_column->read(impl_->file, begin, out);
}

// Who has the features.
const Dataset::Impl& Dataset::holder(FeatureOf of) const {
  return of == FeatureOf::item ? impl_->with_items() : *impl_;
}
const std::vector<Feature>& Dataset::features(FeatureOf of) const {
  return holder(of).features.at(of).list();
}
void Dataset::read_feature(FeatureOf of, const std::string& name, std::int64_t begin,
                           std::span<std::int32_t> out) const {
  holder(of).features.at(of).read(holder(of).file, name, begin, out);
}
void Dataset::read_feature(FeatureOf of, const std::string& name, std::int64_t begin,
                           std::span<float> out) const {
  holder(of).features.at(of).read(holder(of).file, name, begin, out);
}
void Dataset::gather_feature(FeatureOf of, const std::string& name,
                             std::span<const std::int32_t> rows,
                             std::span<std::int32_t> out) const {
  holder(of).features.at(of).gather(holder(of).file, name, rows, out);
}
void Dataset::gather_feature(FeatureOf of, const std::string& name,
                             std::span<const std::int32_t> rows, std::span<float> out) const {
  holder(of).features.at(of).gather(holder(of).file, name, rows, out);
}
std::string Dataset::feature_value(FeatureOf of, const std::string& name, std::int64_t id) const {
  return holder(of).features.at(of).value(holder(of).file, name, id);
}

std::string Dataset::item_fingerprint() const {
  return impl_->with_items().names.item_fingerprint(impl_->with_items().file);
}
std::string Dataset::item_key(std::int64_t item) const {
  return impl_->with_items().names.item_key(impl_->with_items().file, item);
}
std::string Dataset::item_title(std::int64_t item) const {
  return impl_->with_items().names.item_title(impl_->with_items().file, item);
}
std::optional<std::int64_t> Dataset::find_item(const std::string& key) const {
  return impl_->with_items().names.find_item(impl_->with_items().file, key);
}
void Dataset::for_each_item_key(const std::function<void(std::string_view)>& use) const {
  impl_->with_items().names.for_each_item_key(impl_->with_items().file, use);
}
void Dataset::for_each_item_title(const std::function<void(std::string_view)>& use) const {
  impl_->with_items().names.for_each_item_title(impl_->with_items().file, use);
}
std::string Dataset::user_key(std::int64_t sequence) const {
  return impl_->names.user_key(impl_->file, sequence);
}
void Dataset::for_each_user_key(const std::function<void(std::string_view)>& use) const {
  impl_->names.for_each_user_key(impl_->file, use);
}
std::optional<std::string> Dataset::text_attribute(const std::string& name) const {
  const auto found = impl_->attributes.texts.find(name);
  return found == impl_->attributes.texts.end() ? std::nullopt : std::optional(found->second);
}

const std::map<std::string, double>& Dataset::attributes() const {
  return impl_->attributes.numbers;
}

std::string hdf5_library_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("HDF5 {}.{}.{}", major, minor, release);
}

}  // namespace seqrank

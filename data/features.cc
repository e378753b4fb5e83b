// Where features lie in the file, and reading them.
#include "data/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "backend/check.h"
#include "data/validate.h"

namespace seqrank {
namespace {

const char* group_of(FeatureOf of) {
  switch (of) {
    case FeatureOf::event:
      return "/event";
    case FeatureOf::user:
      return "/user";
    case FeatureOf::item:
      return "/item";
  }
  SR_ASSERT(false, "features of {}", static_cast<int>(of));
}

std::size_t index_of(const std::vector<Feature>& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&name](const Feature& feature) { return feature.name == name; });
  SR_ASSERT(found != list.end(), "there is no feature {}", name);
  return static_cast<std::size_t>(found - list.begin());
}

}  // namespace

std::optional<std::string> bad_feature_name(FeatureOf of, const std::string& name) {
  constexpr std::array<std::string_view, 6> kTaken = {"position", "gap",    "hour",
                                                      "weekday",  "action", "domain"};
  if (name.empty() || name.size() > 60) return "it must have 1 to 60 characters";
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
          c == '-'))
      return "only letters, digits, _ and - are allowed";
  if (of == FeatureOf::event && std::find(kTaken.begin(), kTaken.end(), name) != kTaken.end())
    return "events have a column of that name already";
  return std::nullopt;
}

FeatureColumns::FeatureColumns(const File& file, const hdf5::FileId& hdf5_file, FeatureOf of,
                               std::int64_t rows, Fingerprint& fingerprint) {
  const std::string group = group_of(of);
  if (of == FeatureOf::event) {
    for (const std::string name : {"action", "domain"})
      if (has_column(file, hdf5_file, "/event/" + name))
        add(file, hdf5_file, name, "/event/" + name, "/" + name + "/name", rows, fingerprint);
  }
  for (const std::string& name : columns_of(file, hdf5_file, group + "/feature")) {
    const std::string place = group + "/feature/" + name;
    const auto reason = bad_feature_name(of, name);
    SR_CHECK(!reason, ErrorKind::data, "{}: {}: cannot be the name of a feature: {}", file.path(),
             place, *reason);
    add(file, hdf5_file, name, place, group + "/feature_values/" + name, rows, fingerprint);
  }
  if (of == FeatureOf::event) return;
  for (Column& column : columns_) {
    column.ids.keep(file);
    column.numbers.keep(file);
  }
}

void FeatureColumns::add(const File& file, const hdf5::FileId& hdf5_file, const std::string& name,
                         const std::string& place, const std::string& values_place,
                         std::int64_t rows, Fingerprint& fingerprint) {
  SR_CHECK(has_column(file, hdf5_file, place), ErrorKind::data, "{}: has no data set {}",
           file.path(), place);
  Feature feature{name, 0};
  Column column;
  if (is_real_column(file, hdf5_file, place)) {
    column.numbers = NumberColumn<float>(file, hdf5_file, place);
    check_reals(file, column.numbers, rows, fingerprint);
  } else {
    column.ids = NumberColumn<std::int32_t>(file, hdf5_file, place);
    std::int64_t values = -1;
    if (has_column(file, hdf5_file, values_place)) {
      column.values.emplace(file, hdf5_file, values_place);
      values = column.values->rows();
    }
    feature.values = check_ids(file, column.ids, rows, values, fingerprint);
  }
  list_.push_back(std::move(feature));
  columns_.push_back(std::move(column));
}

const FeatureColumns::Column& FeatureColumns::column(const std::string& name, bool numbers) const {
  const std::size_t i = index_of(list_, name);
  SR_ASSERT((list_[i].values == 0) == numbers, "feature {} holds {}", name,
            numbers ? "ids" : "numbers");
  return columns_[i];
}

// They were in range when opened; an id that is not would be used as an address.
void FeatureColumns::check_ids_still(const File& file, const std::string& name,
                                     std::span<const std::int32_t> ids) const {
  const std::int64_t values = list_[index_of(list_, name)].values;
  for (const std::int32_t id : ids) {
    SR_CHECK(id >= 0 && id < values, ErrorKind::data,
             "{}: {}: value {}: the file was changed since it was opened", file.path(),
             column(name, false).ids.name(), id);
  }
}

void FeatureColumns::read(const File& file, const std::string& name, std::int64_t begin,
                          std::span<std::int32_t> out) const {
  column(name, false).ids.read(file, begin, out);
  check_ids_still(file, name, out);
}

void FeatureColumns::read(const File& file, const std::string& name, std::int64_t begin,
                          std::span<float> out) const {
  column(name, true).numbers.read(file, begin, out);
}

void FeatureColumns::gather(const File& file, const std::string& name,
                            std::span<const std::int32_t> rows, std::span<std::int32_t> out) const {
  const Column& from = column(name, false);
  for (std::size_t i = 0; i < rows.size(); ++i) from.ids.read(file, rows[i], out.subspan(i, 1));
  check_ids_still(file, name, out);
}

void FeatureColumns::gather(const File& file, const std::string& name,
                            std::span<const std::int32_t> rows, std::span<float> out) const {
  const Column& from = column(name, true);
  for (std::size_t i = 0; i < rows.size(); ++i) from.numbers.read(file, rows[i], out.subspan(i, 1));
}

std::string FeatureColumns::value(const File& file, const std::string& name,
                                  std::int64_t id) const {
  const std::size_t i = index_of(list_, name);
  SR_ASSERT(id >= 0 && id < list_[i].values, "value {} of {} of feature {}", id, list_[i].values,
            name);
  return columns_[i].values ? columns_[i].values->at(file, id) : fmt::to_string(id);
}

}  // namespace seqrank

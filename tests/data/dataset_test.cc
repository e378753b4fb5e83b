// Opening and reading data sets: ours, those of other programs, and those that break a rule.
// Damage of every kind is data/damage_test's part.
#include "data/dataset.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include "data/dataset_writer.h"
#include "tests/data/data_test_support.h"
#include "tests/data/raw_dataset.h"

namespace seqrank {
namespace {

using test::RawDataset;
using test::Scratch;
using testing::ElementsAre;

std::vector<std::int32_t> items_of(const Dataset& dataset, std::int64_t begin, std::int64_t count) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  dataset.read_items(begin, out);
  return out;
}

TEST(Dataset, ReadsWhatTheWriterWrote) {
  Scratch scratch;
  const std::string path = scratch.file("a.h5");
  {
    DatasetWriter writer(path);
    writer.add_sequence(std::vector<std::int32_t>{3, 1}, std::vector<std::int64_t>{-5, 7});
    writer.add_sequence({}, {});
    writer.add_sequence(std::vector<std::int32_t>{0, 0, 2}, std::vector<std::int64_t>{1, 1, 9});
    for (const char* key : {"u", "vé", ""}) writer.add_user_key(key);
    for (const char* key : {"a", "b", "c", "long key"}) writer.add_item_key(key);
    for (const char* key : {"A", "B", "C", "D"}) writer.add_item_title(key);
    writer.set_attribute("tie_rate", 0.5);
    writer.finish(4);
  }
  const Dataset dataset = Dataset::open(path);
  EXPECT_EQ(dataset.sequences(), 3);
  EXPECT_EQ(dataset.items(), 4);
  EXPECT_EQ(dataset.events(), 5);
  EXPECT_EQ(dataset.begin(2), 2);
  EXPECT_EQ(dataset.length(1), 0);
  EXPECT_THAT(items_of(dataset, 1, 3), ElementsAre(1, 0, 0));
  std::vector<std::int64_t> times(5);
  dataset.read_times(0, times);
  EXPECT_THAT(times, ElementsAre(-5, 7, 1, 1, 9));
  EXPECT_EQ(dataset.item_key(3), "long key");
  EXPECT_EQ(dataset.item_title(1), "B");
  EXPECT_EQ(dataset.user_key(1), "vé");
  EXPECT_EQ(dataset.user_key(2), "");
  EXPECT_EQ(dataset.find_item("c"), 2);
  EXPECT_EQ(dataset.find_item("long"), std::nullopt);
  std::vector<std::string> users;
  dataset.for_each_user_key([&](std::string_view key) { users.emplace_back(key); });
  EXPECT_EQ(users.at(1), "vé");
  EXPECT_EQ(dataset.attributes().at("tie_rate"), 0.5);
  EXPECT_EQ(dataset.fingerprint().size(), 16u);
}

TEST(Dataset, EmptyIsADataSet) {
  Scratch scratch;
  DatasetWriter(scratch.file("a.h5")).finish(0);
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  EXPECT_EQ(dataset.sequences(), 0);
  EXPECT_EQ(dataset.events(), 0);
}

// Contiguous or chunked and compressed, 32 or 64 bits, big-endian: the content is what counts.
TEST(Dataset, StorageDoesNotChangeContentOrFingerprint) {
  Scratch scratch;
  std::string fingerprint;
  for (const hid_t type : {H5T_STD_I32LE, H5T_STD_I64LE, H5T_STD_I32BE, H5T_STD_U8LE}) {
    for (const hsize_t chunk : {0, 1, 2, 3}) {
      const std::string path = scratch.file("a.h5");
      const hdf5::PropertyId packed = test::packed_chunks(std::max<hsize_t>(chunk, 1));
      const hid_t creation = chunk > 0 ? packed.get() : H5P_DEFAULT;
      RawDataset(path)
          .version(1)
          .numbers("/sequence/offset", {0, 3, 5}, H5T_STD_I64LE, creation)
          .numbers("/event/item", {0, 1, 2, 2, 0}, type, creation)
          .numbers("/event/time", {1, 2, 2, 0, 0}, H5T_STD_I32LE, creation)
          .variable_strings("/item/key", {"x", "ypsilon", ""});
      const Dataset dataset = Dataset::open(path);
      EXPECT_EQ(dataset.items(), 3);
      EXPECT_THAT(items_of(dataset, 0, 5), ElementsAre(0, 1, 2, 2, 0));
      EXPECT_EQ(dataset.item_key(1), "ypsilon");
      EXPECT_EQ(dataset.item_title(1), "ypsilon");
      EXPECT_EQ(dataset.user_key(1), "1");
      std::vector<std::string> users;
      dataset.for_each_user_key([&](std::string_view key) { users.emplace_back(key); });
      EXPECT_THAT(users, ElementsAre("0", "1"));
      if (fingerprint.empty()) fingerprint = dataset.fingerprint();
      EXPECT_EQ(dataset.fingerprint(), fingerprint);
    }
  }
}

// The column is longer than what is read at once.
TEST(Dataset, AllKeysInOrderAreThoseOfEachItem) {
  Scratch scratch;
  constexpr std::int64_t kItems = 300000;
  const auto title_of = [](std::int64_t item) { return std::string(item % 7, 't'); };
  {
    DatasetWriter writer(scratch.file("a.h5"));
    for (std::int64_t v = 0; v < kItems; ++v) writer.add_item_key("k" + std::to_string(v));
    for (std::int64_t v = 0; v < kItems; ++v) writer.add_item_title(title_of(v));
    writer.finish(kItems);
  }
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  std::int64_t item = 0, wrong = 0;
  dataset.for_each_item_key(
      [&](std::string_view key) { wrong += key != "k" + std::to_string(item++); });
  EXPECT_EQ(item, kItems);
  item = 0;
  dataset.for_each_item_title([&](std::string_view title) { wrong += title != title_of(item++); });
  EXPECT_EQ(item, kItems);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(dataset.item_key(kItems - 1), "k299999");
  EXPECT_EQ(dataset.find_item("k299999"), kItems - 1);
}

TEST(Dataset, WithoutKeysTheyAreNumbersAndTitlesAreKeys) {
  Scratch scratch;
  {
    DatasetWriter writer(scratch.file("a.h5"));
    writer.add_sequence(std::vector<std::int32_t>{2, 0}, {});
    writer.finish(3);
  }
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  std::string keys, titles;
  dataset.for_each_item_key([&](std::string_view key) { keys += key; });
  dataset.for_each_item_title([&](std::string_view title) { titles += title; });
  EXPECT_EQ(keys, "012");
  EXPECT_EQ(titles, "012");
}

// Of "1:a2:bc0:", whatever its parts: runs that earlier versions saved hold it.
TEST(Dataset, TheFingerprintOfItemsIsThatOfTheirKeysAsOneText) {
  Scratch scratch;
  {
    DatasetWriter writer(scratch.file("a.h5"));
    for (const char* key : {"a", "bc", ""}) writer.add_item_key(key);
    writer.finish(3);
  }
  EXPECT_EQ(Dataset::open(scratch.file("a.h5")).item_fingerprint(), "390f6fb3c25961f4");
}

TEST(Dataset, TenLinesOfH5pyMakeADataSet) {
  Scratch scratch;
  if (!test::have_h5py()) GTEST_SKIP() << "python3 has no h5py";
  const std::string path = scratch.file("a.h5");
  std::string out;
  ASSERT_EQ(
      test::run_python("import h5py, numpy as np\n"
                       "sequences = [[0, 1, 2], [2, 0], [1]]\n"
                       "with h5py.File('" +
                           path +
                           "', 'w') as f:\n"
                           "    lengths = [len(s) for s in sequences]\n"
                           "    f['sequence/offset'] = np.concatenate([[0], np.cumsum(lengths)])\n"
                           "    f['event/item'] = np.concatenate(sequences)\n"
                           "    f['item/key'] = ['a', 'b', 'ç']\n"
                           "    f['event/label'] = np.array([1, 0, 1, 1, 1, 0], dtype='uint8')\n"
                           "    f['item/feature/year'] = np.array([-1.2, 0, 1.2])\n"
                           "    f.attrs['schema_version'] = 1\n",
                       scratch, out),
      0)
      << out;
  const Dataset dataset = Dataset::open(path);
  EXPECT_EQ(dataset.sequences(), 3);
  EXPECT_EQ(dataset.items(), 3);
  EXPECT_EQ(dataset.item_key(2), "ç");
  EXPECT_TRUE(dataset.has_labels());
  EXPECT_EQ(dataset.features(FeatureOf::item).at(0).values, 0);
  EXPECT_THAT(items_of(dataset, 0, 6), ElementsAre(0, 1, 2, 2, 0, 1));
}

// Breaks one rule of a whole data set; the message must hold every part.
struct Broken {
  const char* name;
  void (*make)(RawDataset&);
  std::vector<const char*> message;
};

hdf5::PropertyId chunks_with_filter(H5Z_filter_t filter) {
  hdf5::PropertyId creation(H5Pcreate(H5P_DATASET_CREATE));
  const hsize_t rows = 2;
  H5Pset_chunk(creation.get(), 1, &rows);
  if (filter == H5Z_FILTER_NBIT) H5Pset_nbit(creation.get());
  return creation;
}

void make_float_items(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 1}).numbers("/event/item", {0}, H5T_IEEE_F32LE);
}

void make_square_items(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 4});
  const hsize_t extents[2] = {2, 2};
  const hdf5::SpaceId space(H5Screate_simple(2, extents, nullptr));
  hdf5::DatasetId(H5Dcreate2(raw.file().get(), "/event/item", H5T_STD_I32LE, space.get(),
                             H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

void make_huge_items(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 4});
  const hdf5::PropertyId creation = test::packed_chunks(1024);
  const hsize_t rows = hsize_t{1} << 62, most = H5S_UNLIMITED;
  const hdf5::SpaceId space(H5Screate_simple(1, &rows, &most));
  hdf5::DatasetId(H5Dcreate2(raw.file().get(), "/event/item", H5T_STD_I32LE, space.get(),
                             H5P_DEFAULT, creation.get(), H5P_DEFAULT));
}

void make_unwritten_items(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 4});
  const hsize_t rows = 4;
  const hdf5::SpaceId space(H5Screate_simple(1, &rows, nullptr));
  hdf5::DatasetId(H5Dcreate2(raw.file().get(), "/event/item", H5T_STD_I32LE, space.get(),
                             H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

void make_external_link(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 1});
  H5Lcreate_external("/etc/passwd", "/x", raw.file().get(), "/event/item", H5P_DEFAULT,
                     H5P_DEFAULT);
}

void make_external_storage(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 1});
  const hdf5::PropertyId creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_external(creation.get(), "/etc/passwd", 0, 4);
  raw.numbers("/event/item", {}, H5T_STD_I32LE);
  H5Ldelete(raw.file().get(), "/event/item", H5P_DEFAULT);
  const hsize_t rows = 1;
  const hdf5::SpaceId space(H5Screate_simple(1, &rows, nullptr));
  hdf5::DatasetId(H5Dcreate2(raw.file().get(), "/event/item", H5T_STD_I32LE, space.get(),
                             H5P_DEFAULT, creation.get(), H5P_DEFAULT));
}

void make_virtual(RawDataset& raw) {
  raw.version(1).numbers("/sequence/offset", {0, 1});
  const hsize_t rows = 1;
  const hdf5::SpaceId space(H5Screate_simple(1, &rows, nullptr));
  const hdf5::PropertyId creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_virtual(creation.get(), space.get(), "other.h5", "/x", space.get());
  hdf5::DatasetId(H5Dcreate2(raw.file().get(), "/event/item", H5T_STD_I32LE, space.get(),
                             H5P_DEFAULT, creation.get(), H5P_DEFAULT));
}

const Broken kBroken[] = {
    {"NoVersion",
     [](RawDataset& r) { r.numbers("/sequence/offset", {0}).numbers("/event/item", {}); },
     {"schema_version"}},
    {"NewerVersion",
     [](RawDataset& r) {
       r.version(2).numbers("/sequence/offset", {0}).numbers("/event/item", {});
     },
     {"schema version 2", "newer"}},
    {"NoOffsets",
     [](RawDataset& r) { r.version(1).numbers("/event/item", {0}); },
     {"has no data set /sequence/offset"}},
    {"NoItems",
     [](RawDataset& r) {
       r.version(1).numbers("/sequence/offset", {0, 1});
     },
     {"has no data set /event/item"}},
    {"EmptyOffsets",
     [](RawDataset& r) {
       r.version(1).numbers("/sequence/offset", {}).numbers("/event/item", {0});
     },
     {"/sequence/offset", "one value more"}},
    {"OffsetStart",
     [](RawDataset& r) {
       r.version(1).numbers("/sequence/offset", {1, 2}).numbers("/event/item", {0, 0});
     },
     {"/sequence/offset", "row 0", "value 1", "must be 0"}},
    {"OffsetEnd",
     [](RawDataset& r) {
       r.version(1).numbers("/sequence/offset", {0, 3}).numbers("/event/item", {0, 0});
     },
     {"/sequence/offset", "row 1", "value 3", "must be 2"}},
    {"OffsetFalls",
     [](RawDataset& r) {
       r.version(1).numbers("/sequence/offset", {0, 2, 1, 2}).numbers("/event/item", {0, 0});
     },
     {"/sequence/offset", "row 2", "value 1", "must not fall"}},
    {"NegativeItem",
     [](RawDataset& r) {
       r.version(1)
           .numbers("/sequence/offset", {0, 2})
           .numbers("/event/item", {0, -7}, H5T_STD_I32LE);
     },
     {"/event/item", "row 1", "value -7"}},
    {"WideItem",
     [](RawDataset& r) {
       r.version(1).numbers("/sequence/offset", {0, 2}).numbers("/event/item", {0, 5'000'000'000});
     },
     {"/event/item", "row 1", "value 5000000000", "32 bits"}},
    {"ItemTooLarge",
     [](RawDataset& r) { hdf5::write_attribute(r.whole().file(), "", "items", std::int64_t{2}); },
     {"/event/item", "row 3", "value 2", "number of items, 2"}},
    {"TimesFall",
     [](RawDataset& r) {
       r.whole().numbers("/event/time", {1, 2, 3, 2, 1});
     },
     {"/event/time", "row 4", "sequence 1", "value 1", "must not fall"}},
    {"TimesShort",
     [](RawDataset& r) {
       r.whole().numbers("/event/time", {1, 2, 3});
     },
     {"/event/time", "3 rows", "5"}},
    {"KeysShort",
     [](RawDataset& r) { r.whole().variable_strings("/item/key", {"a"}); },
     {"/item/key", "1 rows", "3 items"}},
    {"NumberKeys",
     [](RawDataset& r) {
       r.whole().numbers("/user/key", {1, 2});
     },
     {"/user/key", "strings"}},
    {"WrongCount",
     [](RawDataset& r) { hdf5::write_attribute(r.whole().file(), "", "events", std::int64_t{6}); },
     {"attribute events is 6", "gives 5"}},
    {"WrongFingerprint",
     [](RawDataset& r) {
       hdf5::write_attribute(r.whole().file(), "", "fingerprint", std::string("0123456789abcdef"));
     },
     {"fingerprint is 0123456789abcdef", "damaged"}},
    {"FloatItems", make_float_items, {"/event/item", "whole numbers"}},
    {"SquareItems", make_square_items, {"/event/item", "one dimension"}},
    {"HugeItems", make_huge_items, {"/event/item", "declares"}},
    {"UnwrittenItems", make_unwritten_items, {"/event/item", "stores 0 bytes"}},
    {"ExternalLink", make_external_link, {"/event/item", "external link"}},
    {"ExternalStorage", make_external_storage, {"/event/item", "another file"}},
    {"VirtualDataSet", make_virtual, {"/event/item", "virtual"}},
    {"UnknownFilter",
     [](RawDataset& r) {
       r.version(1)
           .numbers("/sequence/offset", {0, 2})
           .numbers("/event/item", {0, 1}, H5T_STD_I32LE,
                    chunks_with_filter(H5Z_FILTER_NBIT).get());
     },
     {"/event/item", "filter"}},
    {"SoftLink",
     [](RawDataset& r) {
       r.whole();
       H5Lcreate_soft("/event/item", r.file().get(), "/event/time", H5P_DEFAULT, H5P_DEFAULT);
     },
     {"/event/time", "link"}},
};

class BrokenDataset : public testing::TestWithParam<Broken> {};

TEST_P(BrokenDataset, IsRefusedWithFileAndRule) {
  Scratch scratch;
  const hdf5::QuietErrors quiet;
  const std::string path = scratch.file("broken.h5");
  {
    RawDataset raw(path);
    GetParam().make(raw);
  }
  std::string message = "no error";
  try {
    Dataset::open(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    message = error.what();
  }
  EXPECT_EQ(message.find(path), 0u) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  for (const char* part : GetParam().message)
    EXPECT_NE(message.find(part), std::string::npos) << part << " not in: " << message;
}

INSTANTIATE_TEST_SUITE_P(Rules, BrokenDataset, testing::ValuesIn(kBroken),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Dataset, RefusesWhatIsNoFileOfHdf5) {
  Scratch scratch;
  SR_EXPECT_ERROR(Dataset::open(scratch.file("absent.h5")), ErrorKind::data, "No such file");
  SR_EXPECT_ERROR(Dataset::open(scratch.path()), ErrorKind::data, "regular file");
  std::ofstream(scratch.file("empty.h5"));
  SR_EXPECT_ERROR(Dataset::open(scratch.file("empty.h5")), ErrorKind::data, "is empty");
  std::ofstream(scratch.file("text.csv")) << "user,item\n1,2\n";
  SR_EXPECT_ERROR(Dataset::open(scratch.file("text.csv")), ErrorKind::data, "not an HDF5 file");
}

TEST(Dataset, NoticesAWriterAndAChangeUnderneath) {
  Scratch scratch;
  const std::string path = scratch.file("a.h5");
  { RawDataset(path).whole(); }
  const int writer = ::open(path.c_str(), O_RDWR);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);
  SR_EXPECT_ERROR(Dataset::open(path), ErrorKind::data, "being written");
  ::flock(writer, LOCK_UN);
  const Dataset dataset = Dataset::open(path);
  EXPECT_EQ(items_of(dataset, 0, 1)[0], 0);
  ASSERT_EQ(::ftruncate(writer, 100), 0);
  SR_EXPECT_ERROR(items_of(dataset, 0, 5), ErrorKind::data, "cut while open");
  ::close(writer);
}

TEST(Histories, AreSequencesOverTheItemsOfAnotherDataSet) {
  const test::Scratch scratch;
  {
    DatasetWriter writer(scratch.file("a.h5"));
    writer.add_sequence(std::vector<std::int32_t>{0, 1, 2}, {});
    for (const char* key : {"x", "y", "z"}) writer.add_item_key(key);
    writer.append("/item/feature/kind", std::vector<std::int32_t>{1, 0, 1});
    writer.finish(3);
  }
  const Dataset catalogue = Dataset::open(scratch.file("a.h5"));
  const Dataset data =
      Dataset::of_histories(catalogue, std::vector<History>{{{2, 0}, {5, 5}}, {{1}, {7}}});
  EXPECT_EQ(data.sequences(), 2);
  EXPECT_EQ(data.items(), 3);
  EXPECT_EQ(data.events(), 3);
  std::vector<std::int32_t> items(2), kinds(2);
  std::vector<std::int64_t> times(3);
  data.read_items(1, items);
  data.read_times(0, times);
  EXPECT_EQ(items, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(times, (std::vector<std::int64_t>{5, 5, 7}));
  EXPECT_EQ(data.item_key(2), "z");
  EXPECT_EQ(data.find_item("y"), 1);
  EXPECT_EQ(data.item_fingerprint(), catalogue.item_fingerprint());
  data.gather_feature(FeatureOf::item, "kind", items, kinds);
  EXPECT_EQ(kinds, (std::vector<std::int32_t>{1, 0}));
  EXPECT_TRUE(data.features(FeatureOf::event).empty());
  EXPECT_FALSE(Dataset::of_histories(catalogue, std::vector<History>{{{2}, {}}}).has_times());
  const auto of = [&](History history) {
    Dataset::of_histories(catalogue, std::vector<History>{std::move(history)});
  };
  SR_EXPECT_ERROR(of({{1, 3}, {}}), ErrorKind::data, "history 0: event 1: item 3");
  SR_EXPECT_ERROR(of({{1, 2}, {4}}), ErrorKind::data, "1 times of 2 events");
  SR_EXPECT_ERROR(of({{1, 2}, {4, 3}}), ErrorKind::data, "event 1: time 3");
}

}  // namespace
}  // namespace seqrank

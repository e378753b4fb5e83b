// Which of a person's sequences is meant.
#include "trainer/people.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/check.h"
#include "data/dataset_writer.h"
#include "tests/support/scratch.h"

namespace seqrank {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct Written {
  const char* key;
  std::vector<std::int64_t> times;  // one for each event
};

class People : public testing::Test {
 protected:
  Dataset of(const std::vector<Written>& sequences, bool timed) {
    DatasetWriter writer(path_);
    for (const auto& [key, times] : sequences) {
      writer.add_sequence(std::vector<std::int32_t>(times.size(), 0),
                          timed ? times : std::vector<std::int64_t>());
      writer.add_user_key(key);
    }
    writer.finish(1);
    return Dataset::open(path_);
  }
  static std::vector<std::pair<std::string, std::int64_t>> pairs(
      const std::vector<Person>& people) {
    std::vector<std::pair<std::string, std::int64_t>> result;
    for (const auto& [key, sequence] : people) result.emplace_back(key, sequence);
    return result;
  }

  test::Scratch temp_;
  std::string path_ = temp_.path() + "/data.h5";
  const std::vector<Written> sessions_ = {{"ann", {5, 9}}, {"bob", {1, 2}}, {"ann", {3, 4}},
                                          {"eve", {}},     {"bob", {}},     {"ann", {7, 9}}};
};

TEST_F(People, AreTheirLatestSequences) {
  const Dataset dataset = of(sessions_, true);
  EXPECT_THAT(pairs(everyone(dataset)),
              ElementsAre(Pair("ann", 5), Pair("bob", 1), Pair("eve", 3)));
  const std::vector<std::string> keys = {"eve", "ann", "eve"};
  EXPECT_THAT(pairs(people_of(dataset, keys)),
              ElementsAre(Pair("eve", 3), Pair("ann", 5), Pair("eve", 3)));
  const Dataset turned = of({{"ann", {5, 9}}, {"ann", {3, 4}}}, true);
  EXPECT_THAT(pairs(everyone(turned)), ElementsAre(Pair("ann", 0)));
}

TEST_F(People, AreTheirLastSequencesWithoutTimes) {
  const Dataset dataset = of({{"ann", {0, 0}}, {"ann", {0}}, {"ann", {}}}, false);
  EXPECT_THAT(pairs(everyone(dataset)), ElementsAre(Pair("ann", 1)));
}

TEST_F(People, WhoAreUnknownAreAnError) {
  const Dataset dataset = of(sessions_, true);
  try {
    people_of(dataset, std::vector<std::string>{"ann", "joe"});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("no user joe"));
  }
}

}  // namespace
}  // namespace seqrank

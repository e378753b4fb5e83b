// What one rank lays down in the run folder and another looks for, while other runs make folders.
#include "launch/doctor/run_folder_probe.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/scratch.h"

namespace seqrank {
namespace {

TEST(RunFolderProbe, ATokenIsSeenWhereAnotherRunHasMadeTheFolderOfBothMeanwhile) {
  const test::Scratch scratch;
  const std::string run = scratch.file("sweep/1");
  const Token token(existing_part(run));
  ASSERT_NE(token.name(), "");
  EXPECT_TRUE(token_seen(run, token.name()));
  std::filesystem::create_directories(scratch.file("sweep/0"));
  EXPECT_TRUE(token_seen(run, token.name()));
  std::filesystem::create_directories(run);
  EXPECT_TRUE(token_seen(run, token.name()));
  EXPECT_FALSE(token_seen(scratch.path() + "-elsewhere/1", token.name()));
}

TEST(RunFolderProbe, ATokenGoesWithItsOwner) {
  const test::Scratch scratch;
  std::string name;
  {
    const Token token(scratch.path());
    name = token.name();
    EXPECT_TRUE(token_seen(scratch.file("run"), name));
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(RunFolderProbe, KnowsWhatIsThereOfAPath) {
  const test::Scratch scratch;
  EXPECT_EQ(existing_part(scratch.file("a/b")), scratch.path());
  EXPECT_EQ(existing_part("no-such-folder/b"), ".");
  EXPECT_EQ(existing_part("/no-such-folder/b"), "/");
}

TEST(RunFolderProbe, SaysWhyAFolderCannotBeWritten) {
  const test::Scratch scratch;
  EXPECT_EQ(why_not_writable(scratch.path(), 0), "");
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  EXPECT_EQ(why_not_writable(scratch.file("none"), 0),
            scratch.file("none") + ": No such file or directory");
}

}  // namespace
}  // namespace seqrank

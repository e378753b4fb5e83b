// The harness itself: each kind of mistake in an operator or its reference is reported.
#include "tests/support/op_case.h"

#include <gtest/gtest-spi.h>

#include <limits>

namespace seqrank {
namespace {

// y = x^2, with a mistake to be found. `g` is the factor of the reference's gradient.
OpCase square(double g, OpCase::Run run) {
  OpCase c("square", Device::cpu);
  c.input("x", {5}).output("y", {5}).added("dx");
  c.reference([](Values& v) {
    for (int i = 0; i < 5; ++i) v["y"][i] = v["x"][i] * v["x"][i];
  });
  c.reference_backward([g](Values& v) {
    for (int i = 0; i < 5; ++i) v["dx"][i] = g * v["x"][i] * v["dy"][i];
  });
  c.run("run", std::move(run));
  return c;
}

void run_right(Context&, Tensors& t) {
  for (int i = 0; i < 5; ++i) {
    const float x = t["x"].data<float>()[i];
    t["y"].data<float>()[i] = x * x;
    t["dx"].data<float>()[i] += 2 * x * t["dy"].data<float>()[i];
  }
}

// Failures that check() reports, by text; none of them reaches this test's own result.
std::vector<std::string> failures(OpCase& c) {
  testing::TestPartResultArray results;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    c.check();
  }
  std::vector<std::string> texts;
  for (int i = 0; i < results.size(); ++i)
    if (results.GetTestPartResult(i).failed())
      texts.push_back(results.GetTestPartResult(i).message());
  return texts;
}

void expect_found(OpCase c, const std::string& text) {
  const std::vector<std::string> found = failures(c);
  ASSERT_FALSE(found.empty()) << "not noticed: " << text;
  EXPECT_NE(found[0].find(text), std::string::npos) << found[0];
}

TEST(OpCase, AcceptsWhatIsRight) {
  OpCase c = square(2, run_right);
  EXPECT_TRUE(failures(c).empty());
}

TEST(OpCase, FindsAWrongReferenceGradient) {
  expect_found(square(2.00001, run_right), "reference gradient dx");
}

TEST(OpCase, FindsAWrongResult) {
  expect_found(square(2,
                      [](Context& ctx, Tensors& t) {
                        run_right(ctx, t);
                        t["y"].data<float>()[4] *= 1.001f;
                      }),
               "y[4]");
}

TEST(OpCase, FindsAnElementLeftUnwritten) {
  expect_found(square(2,
                      [](Context& ctx, Tensors& t) {
                        run_right(ctx, t);
                        t["y"].data<float>()[2] = std::numeric_limits<float>::quiet_NaN();
                      }),
               "y[2]");
}

TEST(OpCase, FindsAGradientWrittenInsteadOfAdded) {
  expect_found(square(2,
                      [](Context& ctx, Tensors& t) {
                        for (int i = 0; i < 5; ++i) t["dx"].data<float>()[i] = 0;
                        run_right(ctx, t);
                      }),
               "(added to)");
}

TEST(OpCase, ReportsErrorsOfTheOperator) {
  expect_found(
      square(2, [](Context&, Tensors&) { throw Error(ErrorKind::device, "no such kernel"); }),
      "no such kernel");
}

}  // namespace
}  // namespace seqrank

// What every transport must do. Expected values come from formulas in (rank, element), never from
// another collective. Plain functions: compiled once, whatever the number of transports.
#include "tests/collective/communicator_suite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "backend/check.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

// Small whole numbers: sums are exact in every type, differ by rank and place, some are negative.
template <class T>
T element(int rank, std::int64_t i) {
  return static_cast<T>((i * 7 + rank * 13 + i * rank) % 101 - 40);
}

template <class T>
T reduced(int size, std::int64_t i, Reduce op) {
  T result = element<T>(0, i);
  for (int r = 1; r < size; ++r) {
    const T next = element<T>(r, i);
    if (op == Reduce::sum) result += next;
    if (op == Reduce::max) result = std::max(result, next);
    if (op == Reduce::min) result = std::min(result, next);
  }
  return result;
}

// On the device, ready for the next call.
template <class F>
Tensor made(SuiteRanks& ranks, DType type, std::int64_t n, F&& fill) {
  Tensor host(ranks.ctx.host_arena(), type, {n}, Tag::workspace);
  fill(host);
  Tensor x = to_device(ranks.ctx, host);
  ranks.comm.stream().wait(ranks.ctx.compute().record());
  return x;
}

template <class T>
Tensor filled(SuiteRanks& ranks, std::int64_t n) {
  return made(ranks, DTypeOf<T>::value, n, [&](Tensor& host) {
    for (std::int64_t i = 0; i < n; ++i) host.data<T>()[i] = element<T>(ranks.rank(), i);
  });
}

// What the device holds after the calls so far.
Tensor fetched(SuiteRanks& ranks, const Tensor& x) {
  ranks.ctx.compute().wait(ranks.comm.stream().record());
  return to_host(ranks.ctx, x);
}

std::int64_t sum_over(SuiteRanks& ranks, Communicator& comm, std::int64_t value) {
  SuiteRanks these{comm, ranks.ctx};
  Tensor x = made(these, DType::i64, 1, [&](Tensor& host) { *host.data<std::int64_t>() = value; });
  comm.all_reduce(x, Reduce::sum);
  return *fetched(these, x).data<std::int64_t>();
}

// None, fewer than ranks, odd, not divisible by 2, 3, 4, and more than a piece of 1 MB.
const std::vector<std::int64_t> kSizes = {0, 1, 2, 3, 7, 64, 1001, 300007};
const std::vector<Reduce> kReduces = {Reduce::sum, Reduce::max, Reduce::min};
bool worth_testing(std::int64_t n, Reduce op) {
  return n < 5000 || op == Reduce::sum;
}

// body(T{}) for each type that can be reduced.
template <class F>
void for_each_type(F&& body) {
  body(float{});
  body(double{});
  body(std::int32_t{});
  body(std::int64_t{});
}

}  // namespace

void check_all_reduce(SuiteRanks& ranks) {
  for_each_type([&]<class T>(T) {
    for (Reduce op : kReduces) {
      for (std::int64_t n : kSizes) {
        if (!worth_testing(n, op)) continue;
        Tensor x = filled<T>(ranks, n);
        ranks.comm.all_reduce(x, op);
        Tensor host = fetched(ranks, x);
        std::vector<T> expected(n);
        for (std::int64_t i = 0; i < n; ++i) expected[i] = reduced<T>(ranks.size(), i, op);
        ASSERT_TRUE(std::ranges::equal(host.span<T>(), expected))
            << n << " elements of " << dtype_name(x.dtype()) << ", op " << static_cast<int>(op);
      }
    }
  });
}

void check_reduce_scatter(SuiteRanks& ranks) {
  for_each_type([&]<class T>(T) {
    for (Reduce op : kReduces) {
      for (std::int64_t n : kSizes) {
        if (!worth_testing(n, op)) continue;
        Tensor x = filled<T>(ranks, n);
        ranks.comm.reduce_scatter(x, op);
        const auto [begin, end] = Communicator::piece_range(n, ranks.rank(), ranks.size());
        Tensor own = fetched(ranks, x.flat_range(begin, end));
        for (std::int64_t i = begin; i < end; ++i)
          ASSERT_EQ(own.data<T>()[i - begin], reduced<T>(ranks.size(), i, op))
              << "element " << i << " of " << n << " " << dtype_name(x.dtype());
      }
    }
  });
}

void check_all_gather(SuiteRanks& ranks) {
  for_each_type([&]<class T>(T) {
    for (std::int64_t n : kSizes) {
      Tensor x = filled<T>(ranks, n);
      ranks.comm.all_gather(x);
      Tensor host = fetched(ranks, x);
      const T* values = host.data<T>();
      for (int r = 0; r < ranks.size(); ++r) {
        const auto [begin, end] = Communicator::piece_range(n, r, ranks.size());
        for (std::int64_t i = begin; i < end; ++i)
          ASSERT_EQ(values[i], element<T>(r, i)) << "element " << i << " of " << n;
      }
    }
  });
}

void check_broadcast(SuiteRanks& ranks) {
  for_each_type([&]<class T>(T) {
    for (int root = 0; root < ranks.size(); ++root) {
      for (std::int64_t n : kSizes) {
        Tensor x = filled<T>(ranks, n);
        ranks.comm.broadcast(x, root);
        Tensor host = fetched(ranks, x);
        const T* values = host.data<T>();
        for (std::int64_t i = 0; i < n; ++i)
          ASSERT_EQ(values[i], element<T>(root, i)) << "element " << i << ", root " << root;
      }
    }
  });
}

// Types that are moved but never reduced.
void check_moves_bytes_and_halves(SuiteRanks& ranks) {
  for (DType type : {DType::u8, DType::bf16, DType::f16}) {
    Tensor x = made(ranks, type, 101, [&](Tensor& host) {
      std::fill_n(static_cast<std::uint8_t*>(host.raw()), host.bytes(),
                  static_cast<std::uint8_t>(ranks.rank() + 1));
    });
    ranks.comm.all_gather(x);
    Tensor host = fetched(ranks, x);
    const auto* bytes = static_cast<const std::uint8_t*>(host.raw());
    const std::size_t width = dtype_size(type);
    for (int r = 0; r < ranks.size(); ++r) {
      const auto [begin, end] = Communicator::piece_range(101, r, ranks.size());
      for (std::size_t i = begin * width; i < end * width; ++i) ASSERT_EQ(bytes[i], r + 1);
    }
    ranks.comm.stream().wait(ranks.ctx.compute().record());
    ranks.comm.broadcast(x, ranks.size() - 1);
    ASSERT_EQ(*static_cast<const std::uint8_t*>(fetched(ranks, x).raw()), 1);
  }
}

// Rank r sends (r + 2 q) % 4 * scale elements to rank q: some counts are zero, all differ.
void check_all_to_all_v(SuiteRanks& ranks) {
  const auto count = [](int from, int to, std::int64_t scale) {
    return (from + 2 * to) % 4 * scale;
  };
  for_each_type([&]<class T>(T) {
    for (std::int64_t scale : {0, 1, 5, 40009}) {
      std::vector<std::int64_t> send_counts, receive_counts;
      std::vector<T> values, expected;
      for (int r = 0; r < ranks.size(); ++r) {
        send_counts.push_back(count(ranks.rank(), r, scale));
        receive_counts.push_back(count(r, ranks.rank(), scale));
        for (std::int64_t i = 0; i < send_counts[r]; ++i)
          values.push_back(element<T>(ranks.rank() * 8 + r, i));
        for (std::int64_t i = 0; i < receive_counts[r]; ++i)
          expected.push_back(element<T>(r * 8 + ranks.rank(), i));
      }
      const auto n_sent = static_cast<std::int64_t>(values.size());
      const auto n_received = static_cast<std::int64_t>(expected.size());
      Tensor received = ranks.ctx.empty(DTypeOf<T>::value, {n_received}, Tag::workspace);
      const Tensor sent = made(ranks, DTypeOf<T>::value, n_sent,
                               [&](Tensor& host) { std::ranges::copy(values, host.data<T>()); });
      ranks.comm.all_to_all_v(received, receive_counts, sent, send_counts);
      Tensor host = fetched(ranks, received);
      ASSERT_TRUE(std::ranges::equal(host.span<T>(), expected)) << "scale " << scale;
    }
  });
}

void check_several_in_flight_before_waiting(SuiteRanks& ranks) {
  std::vector<Tensor> buckets;
  std::vector<Event> done;
  for (int b = 0; b < 20; ++b) {
    buckets.push_back(filled<float>(ranks, 1000 + b));
    if (b % 2 == 0) {
      ranks.comm.all_reduce(buckets.back(), Reduce::sum);
    } else {
      ranks.comm.broadcast(buckets.back(), b % ranks.size());
    }
    done.push_back(ranks.comm.stream().record());
  }
  for (int b = 19; b >= 0; --b) {
    ranks.ctx.compute().wait(done[b]);
    Tensor host = to_host(ranks.ctx, buckets[b]);
    for (std::int64_t i = 0; i < 1000 + b; ++i) {
      const float expected = b % 2 == 0 ? reduced<float>(ranks.size(), i, Reduce::sum)
                                        : element<float>(b % ranks.size(), i);
      ASSERT_EQ(host.data<float>()[i], expected) << "bucket " << b;
    }
  }
}

// The tensor's last handle goes while the call is under way, and its memory is asked for again.
void check_tensors_live_until_their_call_is_done(SuiteRanks& ranks) {
  std::vector<std::int64_t> counts(ranks.size(), 100);
  std::vector<Tensor> received;
  for (int round = 0; round < 20; ++round) {
    received.push_back(
        ranks.ctx.empty(DType::i32, {100 * std::int64_t{ranks.size()}}, Tag::workspace));
    const Tensor sent = made(ranks, DType::i32, 100 * ranks.size(), [&](Tensor& host) {
      std::ranges::fill(host.span<std::int32_t>(), round);
    });
    ranks.comm.all_to_all_v(received.back(), counts, sent, counts);
  }
  for (int round = 0; round < 20; ++round) {
    Tensor host = fetched(ranks, received[round]);
    ASSERT_THAT(host.span<std::int32_t>(), testing::Each(round));
  }
}

// Values whose sum depends on the order of addition: all ranks and both runs must take the same.
void check_sums_are_bitwise_equal_on_all_ranks_and_run_to_run(SuiteRanks& ranks) {
  for (std::int64_t n : {5, 1001, 300007}) {
    std::vector<float> first;
    for (int run = 0; run < 2; ++run) {
      Tensor x = made(ranks, DType::f32, n, [&](Tensor& host) {
        for (std::int64_t i = 0; i < n; ++i)
          host.data<float>()[i] = 1.0f / static_cast<float>(1 + i % 977 + 3 * ranks.rank());
      });
      ranks.comm.all_reduce(x, Reduce::sum);
      const Tensor sum = fetched(ranks, x);
      const std::vector<float> own(sum.span<float>().begin(), sum.span<float>().end());
      if (run == 0) first = own;
      ASSERT_EQ(own, first) << n;
      Tensor of_rank_0 = made(ranks, DType::f32, n,
                              [&](Tensor& host) { std::ranges::copy(own, host.data<float>()); });
      ranks.comm.broadcast(of_rank_0, 0);
      const Tensor theirs = fetched(ranks, of_rank_0);
      ASSERT_TRUE(std::ranges::equal(theirs.span<float>(), own)) << n;
    }
  }
}

void check_split_by_colour_orders_by_key(SuiteRanks& ranks) {
  const int colour = ranks.rank() % 2;
  auto part = ranks.comm.split(colour, -ranks.rank());
  const int expected_size = (ranks.size() + 1 - colour) / 2;
  ASSERT_EQ(part->size(), expected_size);
  ASSERT_EQ(part->rank(), expected_size - 1 - ranks.rank() / 2);  // falling by the key
  std::int64_t sum = 0;
  for (int r = colour; r < ranks.size(); r += 2) sum += r;
  ASSERT_EQ(sum_over(ranks, *part, ranks.rank()), sum);
  auto alone = part->split(part->rank(), 0);
  ASSERT_EQ(alone->size(), 1);
  ASSERT_EQ(sum_over(ranks, *alone, 25), 25);
  // Calls on both, mixed, in one order.
  ASSERT_EQ(sum_over(ranks, ranks.comm, 1), ranks.size());
  ASSERT_EQ(sum_over(ranks, *part, 1), expected_size);
}

void check_split_keeps_the_order_of_ranks_for_equal_keys(SuiteRanks& ranks) {
  auto same = ranks.comm.split(5, 0);
  ASSERT_EQ(same->size(), ranks.size());
  ASSERT_EQ(same->rank(), ranks.rank());
  same->barrier();
}

// All test ranks are of one host.
void check_split_shared(SuiteRanks& ranks) {
  const auto host = ranks.comm.split_shared();
  EXPECT_EQ(host->size(), ranks.size());
  EXPECT_EQ(host->rank(), ranks.rank());
  EXPECT_EQ(sum_over(ranks, *host, 1), ranks.size());
}

void check_log_and_clock(SuiteRanks& ranks) {
  std::vector<CallTiming> log;
  Tensor x = filled<double>(ranks, 1);
  Tensor sent = filled<std::int32_t>(ranks, ranks.size());
  Tensor received = ranks.ctx.empty(DType::i32, {ranks.size()}, Tag::workspace);
  ranks.comm.barrier();
  ranks.comm.set_log(&log);
  ranks.comm.all_reduce(x, Reduce::max);
  ranks.comm.barrier();
  const std::vector<std::int64_t> one_each(ranks.size(), 1);
  ranks.comm.stream().wait(ranks.ctx.compute().record());
  ranks.comm.all_to_all_v(received, one_each, sent, one_each);
  ranks.comm.set_log(nullptr);
  ranks.comm.barrier();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0].operation, "all_reduce");
  EXPECT_EQ(log[0].bytes, 8);
  EXPECT_FALSE(log[0].algorithm.empty());
  EXPECT_EQ(log[1].operation, "barrier");
  EXPECT_EQ(log[1].bytes, 0);
  EXPECT_EQ(log[2].operation, "all_to_all_v");
  EXPECT_EQ(log[2].bytes, 4 * ranks.size());
  EXPECT_LE(log[0].begin, log[0].end);
  EXPECT_LE(log[0].end, log[1].begin);
  EXPECT_EQ(ranks.comm.clock()->running_since_ns, 0);
  EXPECT_GT(ranks.comm.clock()->longest_ns, 0);
}

// A call that throws is not made: the ranks stay in step.
void check_bad_arguments_throw_one_line_and_nothing_is_sent(SuiteRanks& ranks) {
  Communicator& comm = ranks.comm;
  Tensor absent;
  Tensor bytes = ranks.ctx.empty(DType::u8, {4}, Tag::workspace);
  Tensor x = ranks.ctx.empty(DType::f32, {4}, Tag::workspace);
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::peers);
      return error.what();
    }
    return "no error";
  };
  using testing::HasSubstr;
  EXPECT_THAT(message([&] { comm.all_reduce(absent, Reduce::sum); }),
              HasSubstr("all_reduce: the tensor is absent"));
  EXPECT_THAT(message([&] { comm.all_gather(absent); }), HasSubstr("all_gather: the tensor is"));
  EXPECT_THAT(message([&] { comm.all_reduce(bytes, Reduce::sum); }),
              HasSubstr("all_reduce: u8 cannot be reduced"));
  EXPECT_THAT(message([&] { comm.reduce_scatter(bytes, Reduce::max); }),
              HasSubstr("reduce_scatter: u8 cannot be reduced"));
  EXPECT_THAT(message([&] { comm.broadcast(x, comm.size()); }), HasSubstr("broadcast: root"));
  EXPECT_THAT(message([&] { comm.broadcast(x, -1); }), HasSubstr("root -1"));
  EXPECT_THAT(message([&] { comm.split(-1, 0); }), HasSubstr("split: colour -1"));

  Tensor y = ranks.ctx.empty(DType::f32, {4}, Tag::workspace);
  Tensor i = ranks.ctx.empty(DType::i32, {4}, Tag::workspace);
  std::vector<std::int64_t> counts(comm.size(), 0), short_by_one(comm.size(), 0);
  counts[0] = 4;
  short_by_one[0] = 3;
  std::vector<std::int64_t> too_many(comm.size() + 1, 0);
  std::vector<std::int64_t> negative(comm.size(), 0);
  negative[0] = -4;
  EXPECT_THAT(message([&] { comm.all_to_all_v(y, counts, x, short_by_one); }),
              HasSubstr("send counts add up to 3, the tensor has 4"));
  EXPECT_THAT(message([&] { comm.all_to_all_v(y, too_many, x, counts); }),
              HasSubstr("give one a rank"));
  EXPECT_THAT(message([&] { comm.all_to_all_v(y, negative, x, counts); }),
              HasSubstr("receive count -4"));
  EXPECT_THAT(message([&] { comm.all_to_all_v(i, counts, x, counts); }),
              HasSubstr("sends f32, receives i32"));
  EXPECT_THAT(message([&] { comm.all_to_all_v(x, counts, x, counts); }), HasSubstr("overlap"));
  ASSERT_EQ(sum_over(ranks, comm, 1), comm.size());
}

void check_reads_what_compute_wrote_before_the_call(Communicator& ranks) {
  Arena arena;
  auto compute = make_worker_stream();
  Tensor x(arena, DType::i32, {1}, Tag::workspace);
  compute->enqueue([x]() mutable { *x.data<std::int32_t>() = 1; });
  compute->synchronize();
  ranks.all_reduce(x, Reduce::sum);
  compute->wait(ranks.stream().record());
  int seen = 0;
  compute->enqueue([x, &seen]() mutable { seen = *x.data<std::int32_t>(); });
  compute->synchronize();
  ASSERT_EQ(seen, ranks.size());
}

// Rank r sends (r + 2 q) % 4 * scale elements to rank q, who does not know it. Several at once.
void check_all_to_all_counted(Communicator& ranks) {
  const std::int64_t scales[] = {0, 1, 5, 40009};
  Arena arena;
  std::vector<std::shared_ptr<const Communicator::Counted>> received;
  for (const std::int64_t scale : scales) {
    std::vector<std::int64_t> counts;
    std::vector<std::int32_t> values;
    for (int q = 0; q < ranks.size(); ++q) {
      counts.push_back((ranks.rank() + 2 * q) % 4 * scale);
      for (std::int64_t i = 0; i < counts[q]; ++i)
        values.push_back(element<std::int32_t>(ranks.rank() * 8 + q, i));
    }
    Tensor sent(arena, DType::i32, {static_cast<std::int64_t>(values.size())}, Tag::workspace);
    std::ranges::copy(values, sent.data<std::int32_t>());
    received.push_back(ranks.all_to_all_counted(sent, counts));
  }
  ranks.stream().synchronize();
  for (std::size_t s = 0; s < received.size(); ++s) {
    std::vector<std::int64_t> counts;
    std::vector<std::int32_t> expected;
    for (int r = 0; r < ranks.size(); ++r) {
      counts.push_back((r + 2 * ranks.rank()) % 4 * scales[s]);
      for (std::int64_t i = 0; i < counts[r]; ++i)
        expected.push_back(element<std::int32_t>(r * 8 + ranks.rank(), i));
    }
    ASSERT_EQ(received[s]->counts, counts);
    ASSERT_TRUE(std::ranges::equal(received[s]->pieces.span<std::int32_t>(), expected));
  }
  Tensor x(arena, DType::i32, {4}, Tag::workspace);
  EXPECT_THROW(ranks.all_to_all_counted(x, std::vector<std::int64_t>(ranks.size(), 0)), Error);
}

void check_values(Communicator& ranks) {
  const std::int64_t last = ranks.size() - 1;
  const std::int64_t big = std::int64_t{1} << 60;  // lost in a double
  ASSERT_EQ(ranks.all_reduce_value(big + ranks.rank(), Reduce::max), big + last);
  ASSERT_EQ(ranks.all_reduce_value(big + ranks.rank(), Reduce::min), big);
  ASSERT_EQ(ranks.all_reduce_value(0.5, Reduce::sum), 0.5 * ranks.size());
  ASSERT_EQ(ranks.all_reduce_value(-1.0 * ranks.rank(), Reduce::min), -1.0 * last);
  ranks.barrier();
}

void check_texts(Communicator& ranks) {
  const auto text_of = [](int rank) {
    return rank == 1 ? std::string() : std::string(rank * 9 + 1, 'a' + rank) + std::string(1, 0);
  };
  const std::vector<std::string> texts = ranks.all_gather_text(text_of(ranks.rank()));
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(ranks.size()));
  for (int r = 0; r < ranks.size(); ++r) ASSERT_EQ(texts[r], text_of(r));
  for (int root = 0; root < ranks.size(); ++root)
    ASSERT_EQ(ranks.broadcast_text(text_of(ranks.rank()), root), text_of(root));
  ASSERT_THAT(ranks.all_gather_text(""), testing::Each(std::string()));
  EXPECT_THROW(ranks.broadcast_text("a", -1), Error);
}

}  // namespace seqrank

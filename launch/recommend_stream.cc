// One history at a time: nobody waits for somebody else's question.
#include "launch/recommend_stream.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "backend/check.h"
#include "backend/stopwatch.h"
#include "data/event_columns.h"
#include "launch/output.h"
#include "launch/recommendation_file.h"

namespace seqrank {
namespace {

using Json = nlohmann::json;

const Json& list_of(const Json& question, const char* name) {
  const Json& list = question.at(name);
  SR_CHECK(list.is_array(), ErrorKind::data, "\"{}\" is no list", name);
  return list;
}

std::string key_of(const Json& value) {  // numbers are keys, too
  SR_CHECK(value.is_string() || value.is_number_integer(), ErrorKind::data,
           "a key is neither text nor a whole number: {}", value.dump());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

using ItemIds = std::unordered_map<std::string, std::int32_t>;

// Of all keys at once: looking one up in the file reads it from the beginning.
ItemIds item_ids(const Dataset& dataset) {
  ItemIds ids;
  ids.reserve(static_cast<std::size_t>(dataset.items()));
  std::int32_t next = 0;
  dataset.for_each_item_key([&](std::string_view key) { ids.emplace(key, next++); });
  return ids;  // the first of a key counts
}

History history_of(const ItemIds& ids, const Json& question) {
  History history;
  for (const Json& value : list_of(question, "items")) {
    const auto found = ids.find(key_of(value));
    SR_CHECK(found != ids.end(), ErrorKind::data, "there is no item {}", key_of(value));
    history.items.push_back(found->second);
  }
  if (question.contains("times")) {
    for (const Json& value : list_of(question, "times")) {
      SR_CHECK(value.is_number_integer(), ErrorKind::data, "a time is no whole number: {}",
               value.dump());
      history.times.push_back(value.get<std::int64_t>());
    }
  }
  return history;
}

std::int64_t scene_of(const ScenePopularity& popularity, const Json& question) {
  if (!question.contains("domain")) return -1;
  const std::string name = key_of(question["domain"]);
  const auto found = std::ranges::find(popularity.scenes(), name);
  SR_CHECK(found != popularity.scenes().end(), ErrorKind::data, "there is no scene {}", name);
  return found - popularity.scenes().begin();
}

constexpr std::array kKnown = {"id", "items", "times", "user", "k", "domain"};

void check_keys(const Json& line) {
  SR_CHECK(line.is_object(), ErrorKind::data, "the line is no JSON object");
  for (const auto& [key, value] : line.items())
    SR_CHECK(std::ranges::find(kKnown, key) != kKnown.end(), ErrorKind::data,
             "the line has a key \"{}\"; there are {}", key, fmt::join(kKnown, ", "));
  SR_CHECK(line.contains("items") != line.contains("user"), ErrorKind::data,
           "the line has {} \"items\" {} \"user\"", line.contains("user") ? "both" : "neither",
           line.contains("user") ? "and" : "nor");
}

// What the model reads of events, the data set has, and a line does not give.
void check_told(const BatchNeeds& needs, const Dataset& dataset, const Dataset& histories,
                std::int64_t max_length) {
  const auto check = [&](const std::string& what, bool there, bool told) {
    SR_CHECK(told || !there, ErrorKind::data,
             "the model reads {} of events, which the line does not tell{}", what,
             dataset.has_times() && !histories.has_times() ? "; give \"times\", or ask by \"user\""
                                                           : "; ask by \"user\"");
  };
  const auto there = event_columns(dataset, max_length);
  const auto told = event_columns(histories, max_length);
  for (const std::string& column : needs.columns)
    check(column, there.contains(column), told.contains(column));
  check("times", needs.times && dataset.has_times(), histories.has_times());
  check("labels", needs.labels && dataset.has_labels(), histories.has_labels());
}

// A line that this rank can answer: everything that may be wrong with it was looked at.
struct Understood {
  RecommendOptions options;
  std::optional<Dataset> histories;  // absent: the sequence is one of the data set
  std::int64_t sequence = 0;
  std::optional<std::vector<RecommendedItem>> popular;  // the answer to an empty history
};

Understood understood(Context& ctx, const LoadedModel& loaded, const Dataset& dataset,
                      const ItemIds& ids, const RecommendOptions& options, const Json& line) {
  check_keys(line);
  Understood question{options, {}, 0, {}};
  if (line.contains("k")) {
    const Json& k = line.at("k");
    SR_CHECK(k.is_number_integer() && k > 0 && k <= 1000, ErrorKind::data,
             "\"k\" is {}; it must be 1 to 1000", k.dump());
    question.options.k = std::min(k.get<std::int64_t>(), dataset.items());
  }
  if (line.contains("user")) {
    question.sequence = people_of(dataset, std::vector{key_of(line["user"])}).at(0).sequence;
    if (dataset.length(question.sequence) == 0) {
      question.popular = popular_items(dataset, options.popularity(), -1, question.options);
      return question;
    }
  } else {
    const std::vector<History> history = {history_of(ids, line)};
    if (history[0].items.empty()) {
      const ScenePopularity& popularity = options.popularity();
      question.popular =
          popular_items(dataset, popularity, scene_of(popularity, line), question.options);
      return question;
    }
    question.histories = Dataset::of_histories(dataset, history);
    check_told(loaded.model->needs(), dataset, *question.histories, options.max_length);
  }
  // What best_items() will read, for what may be wrong with it.
  history_batch(question.histories ? *question.histories : dataset, ctx.host_arena(),
                std::array{question.sequence}, options.max_length, loaded.model->needs());
  return question;
}

std::vector<RecommendedItem> answer(Context& ctx, const LoadedModel& loaded, const Dataset& dataset,
                                    const Understood& question) {
  if (question.popular) return *question.popular;
  return best_items(ctx, *loaded.model, dataset, question.histories ? *question.histories : dataset,
                    std::array{question.sequence}, question.options, loaded.exchange.get())
      .at(0);
}

std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// On all ranks. False: there are no more.
bool next_line(Communicator& comm, std::istream& in, std::string& line) {
  if (comm.size() == 1) return static_cast<bool>(std::getline(in, line));
  std::string told;
  if (comm.rank() == 0 && std::getline(in, line)) told = "+" + line;
  told = comm.broadcast_text(told, 0);
  if (told.empty()) return false;
  line = told.substr(1);
  return true;
}

// What is wrong with a line all ranks find alike. One that finds something alone has trouble of its
// own, of reading for instance, and cannot answer with the others.
void agree(Communicator& comm, const std::string& wrong) {
  if (comm.size() == 1) return;
  const std::vector<std::string> all = comm.all_gather_text(wrong);
  const auto good = std::ranges::find(all, "");
  const auto bad = std::ranges::find_if(all, [](const std::string& one) { return !one.empty(); });
  SR_CHECK(good == all.end() || bad == all.end(), ErrorKind::data,
           "rank {} cannot answer what rank {} can: {}", bad - all.begin(), good - all.begin(),
           *bad);
}

}  // namespace

StreamAnswers answer_stream(Context& ctx, Communicator& comm, const LoadedModel& loaded,
                            const Dataset& dataset, const RecommendOptions& options,
                            std::istream& in) {
  const ItemIds ids = item_ids(dataset);
  StreamAnswers done;
  for (std::string line; next_line(comm, in, line);) {
    const Stopwatch watch;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    ++done.answers;
    std::string id, wrong;
    std::optional<Understood> question;
    try {
      const Json asked = Json::parse(line);
      if (asked.is_object() && asked.contains("id"))
        id = fmt::format("\"id\":{},", text_of(asked["id"]));
      question = understood(ctx, loaded, dataset, ids, options, asked);
    } catch (const Error& error) {
      if (error.exit_code() != static_cast<int>(ErrorKind::data) &&
          error.exit_code() != static_cast<int>(ErrorKind::usage))
        throw;
      wrong = error.what();
    } catch (const Json::exception& error) {
      wrong = one_line(error.what());
    }
    agree(comm, wrong);
    // An error in here is no answer: it may be of one rank, and others wait for that.
    const std::string reply =
        wrong.empty() ? "\"items\":" + items_json(answer(ctx, loaded, dataset, *question))
                      : "\"error\":" + text_of(wrong);
    const bool failed = !wrong.empty();
    done.errors += failed;
    if (comm.rank() == 0) {
      print_out(fmt::format("{{{}{}}}\n", id, reply));
      flush_out();
    }
    if (!failed) done.seconds.push_back(watch.seconds());
  }
  return done;
}

double latency_ms(const StreamAnswers& answers, double share) {
  if (answers.seconds.empty()) return 0;
  std::vector<double> sorted = answers.seconds;
  std::ranges::sort(sorted);
  const auto place =
      static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return 1e3 * sorted[std::max<std::size_t>(place, 1) - 1];
}

}  // namespace seqrank

// One history at a time: nobody waits for somebody else's question.
#include "launch/recommend_stream.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "backend/check.h"
#include "backend/stopwatch.h"
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
  for (std::int64_t item = dataset.items() - 1; item >= 0; --item)  // the first of a key counts
    ids[dataset.item_key(item)] = static_cast<std::int32_t>(item);
  return ids;
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

std::vector<RecommendedItem> answer(Context& ctx, const LoadedModel& loaded, const Dataset& dataset,
                                    const ItemIds& ids, RecommendOptions options,
                                    const PopularityOnDemand& popularity, const Json& question) {
  SR_CHECK(question.is_object(), ErrorKind::data, "the line is no JSON object");
  if (question.contains("k")) {
    const Json& k = question.at("k");
    SR_CHECK(k.is_number_integer() && k > 0 && k <= 1000, ErrorKind::data,
             "\"k\" is {}; it must be 1 to 1000", k.dump());
    options.k = std::min(k.get<std::int64_t>(), dataset.items());
  }
  const auto ask = [&](const Dataset& histories, std::int64_t sequence) {
    return best_items(ctx, *loaded.model, dataset, histories, std::array{sequence}, options,
                      loaded.exchange.get())
        .at(0);
  };
  if (question.contains("user"))
    return ask(dataset, sequence_of(dataset, key_of(question["user"])));
  SR_CHECK(question.contains("items"), ErrorKind::data,
           "the line has neither \"items\" nor \"user\"");
  const std::vector<History> history = {history_of(ids, question)};
  if (history[0].items.empty())
    return popular_items(dataset, popularity(), scene_of(popularity(), question), options);
  return ask(Dataset::of_histories(dataset, history), 0);
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

}  // namespace

StreamAnswers answer_stream(Context& ctx, Communicator& comm, const LoadedModel& loaded,
                            const Dataset& dataset, const RecommendOptions& options,
                            const PopularityOnDemand& popularity, std::istream& in) {
  const ItemIds ids = item_ids(dataset);
  StreamAnswers done;
  for (std::string line; next_line(comm, in, line);) {
    const Stopwatch watch;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    ++done.answers;
    std::string id, reply;
    try {
      const Json question = Json::parse(line);
      if (question.is_object() && question.contains("id"))
        id = fmt::format("\"id\":{},", text_of(question["id"]));
      reply = "\"items\":" +
              items_json(answer(ctx, loaded, dataset, ids, options, popularity, question));
    } catch (const Error& error) {
      if (error.exit_code() != static_cast<int>(ErrorKind::data) &&
          error.exit_code() != static_cast<int>(ErrorKind::usage))
        throw;
      reply = "\"error\":" + text_of(error.what());
    } catch (const Json::exception& error) {
      reply = "\"error\":" + text_of(one_line(error.what()));
    }
    const bool failed = reply.starts_with("\"error\"");
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

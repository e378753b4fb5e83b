// seqrank recommend: the best next items for given people, with titles, for a person to read.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/command.h"
#include "launch/list.h"
#include "launch/model_choice.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/recommend_stream.h"
#include "launch/recommendation_file.h"
#include "launch/report.h"
#include "launch/table.h"
#include "launch/use_model.h"
#include "launch/world.h"
#include "trainer/load_model.h"
#include "trainer/recommend.h"

namespace seqrank {
namespace {

constexpr std::size_t kShownPeople = 20;  // on the terminal; a file has all

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = use_model_options();
  for (OptionSpec& spec : world_options()) specs.push_back(spec);
  specs.push_back(
      {"users", OptionKind::text, "",
       "keys of people in the data set: 17,42; or all; or @FILE, a key a line; of somebody "
       "with several sequences the latest is meant"});
  specs.push_back({"stdin", OptionKind::flag, "no",
                   "instead of --users: histories on standard input, JSON a line; see "
                   "launch/recommend_stream.h; several ranks wait for it no longer than "
                   "--peer-timeout"});
  specs.push_back({"k", OptionKind::integer, "10", "items a person", "1..1000"});
  specs.push_back({"candidates", OptionKind::text, "",
                   "file of the items that may be recommended, a key a line; none: all items"});
  specs.push_back(cold_items_option());
  specs.push_back({"diversity", OptionKind::real, "0",
                   "how much unlikeness counts against relevance: maximal marginal relevance",
                   "0..1"});
  specs.push_back({"output", OptionKind::text, "",
                   "file for programs: .csv, .jsonl or .h5; see launch/recommendation_file.h"});
  specs.push_back(json_option());
  return specs;
}

std::string to_text(const Recommendation& one) {
  std::string text = fmt::format(
      "user {}\n  latest: {}\n", one.user,
      one.recent.empty() ? "nothing yet" : fmt::format("{}", fmt::join(one.recent, "; ")));
  std::vector<std::vector<std::string>> rows;
  for (const RecommendedItem& item : one.items) {
    rows.push_back({fmt::format("{:4}", rows.size() + 1), item.title, item.key,
                    fmt::format("{:.3f}", item.score)});
  }
  return text + format_table({"  no", "title", "item", "score"}, rows, {0, 1}) + "\n";
}

std::string to_json(const std::vector<Recommendation>& recommendations, const std::string& origin) {
  nlohmann::ordered_json people = nlohmann::ordered_json::array();
  for (const Recommendation& one : recommendations) {
    nlohmann::ordered_json items = nlohmann::ordered_json::array();
    for (const RecommendedItem& item : one.items) {
      items.push_back({{"item", item.key}, {"title", item.title}, {"score", item.score}});
    }
    people.push_back({{"user", one.user}, {"recent", one.recent}, {"items", items}});
  }
  const nlohmann::ordered_json json = {{"model", origin}, {"recommendations", people}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// Lines that are not blank, without blanks around them.
std::vector<std::string> lines_of(const std::string& option, const std::string& path) {
  std::ifstream file(path);
  SR_CHECK(file.good(), ErrorKind::usage, "--{}: {} cannot be read", option, path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) continue;
    lines.push_back(line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin));
  }
  SR_CHECK(!lines.empty(), ErrorKind::usage, "--{}: {} names nothing", option, path);
  return lines;
}

std::vector<Person> people_asked(const Options& given, const Dataset& dataset) {
  SR_CHECK(given.has("users") != given.flag("stdin"), ErrorKind::usage,
           "give either --users, keys of people in the data set, for example --users=17,42, or "
           "--stdin");
  if (given.flag("stdin")) return {};
  const std::string& text = given.text("users");
  if (text == "all") return everyone(dataset);
  return people_of(dataset, text.starts_with("@") ? lines_of("users", text.substr(1))
                                                  : split_list("users", text));
}

std::vector<std::int32_t> candidates_of(const Options& given, const Dataset& dataset) {
  std::vector<std::int32_t> items;
  for (const std::string& key : lines_of("candidates", given.text("candidates"))) {
    const auto item = dataset.find_item(key);
    SR_CHECK(item, ErrorKind::usage, "--candidates: {}: {} has no item {}",
             given.text("candidates"), dataset.path(), key);
    items.push_back(static_cast<std::int32_t>(*item));
  }
  return items;
}

void dry_run(const Options& given) {
  if (given.has("output")) check_recommendation_file(given.text("output"));
  const Dataset dataset = open_for_use(given);
  const std::vector<Person> people = people_asked(given, dataset);
  if (given.has("candidates")) candidates_of(given, dataset);
  if (given.flag("stdin")) return print_out("would answer histories on standard input\n");
  print_out(fmt::format("would recommend {} items to each of {} people with {}\n",
                        given.integer("k"), people.size(), chosen_model(given)));
}

RecommendOptions recommend_options(const Options& given, const Dataset& dataset,
                                   const LoadedModel& loaded) {
  const EvaluateOptions evaluate = evaluate_options_from(loaded.options, Split::test);
  RecommendOptions options;
  options.k = std::min(given.integer("k"), dataset.items());
  options.seen = evaluate.seen;
  options.max_length = evaluate.max_length;
  if (given.has("candidates")) options.candidates = candidates_of(given, dataset);
  options.diversity = given.real("diversity");
  if (options.diversity > 0 && state_ranker(*loaded.model) == nullptr)
    options.vector_VD = item_vectors(loaded);
  return options;
}

void show_stream(const Options& given, const StreamAnswers& done) {
  const double median = latency_ms(done, 0.5), most = latency_ms(done, 0.99);
  warn(fmt::format("{} answers, {} of them errors; median {:.2f} ms, 99th percentile {:.2f} ms",
                   done.answers, done.errors, median, most));
  if (!given.has("json")) return;
  const nlohmann::ordered_json json = {{"answers", done.answers},
                                       {"errors", done.errors},
                                       {"median_ms", median},
                                       {"percentile_99_ms", most}};
  write_file(given.text("json"), json.dump(2) + "\n");
}

int run(const Options& given, Communicator& comm) {
  if (given.has("output")) check_recommendation_file(given.text("output"));
  const Dataset dataset = open_for_use(given);
  const std::vector<Person> people = people_asked(given, dataset);
  RankDevice device(comm, given, rank_threads(comm, given));
  if (comm.rank() == 0 && !device.why().empty()) warn(device.why());
  Context& ctx = device.ctx();
  const auto loaded = load_for_use(device, comm, given, dataset);
  serve_cold_items(ctx, comm, given, dataset, *loaded);
  std::optional<ScenePopularity> popularity;
  RecommendOptions options = recommend_options(given, dataset, *loaded);
  options.popularity = [&]() -> const ScenePopularity& {
    if (!popularity) popularity.emplace(Protocol(dataset, protocol_options_from(loaded->options)));
    return *popularity;
  };
  if (given.flag("stdin")) {
    const auto done = answer_stream(ctx, comm, *loaded, dataset, options, std::cin);
    if (comm.rank() == 0) show_stream(given, done);
    return 0;
  }
  const auto recommendations =
      recommend(ctx, *loaded->model, dataset, people, options, loaded->exchange.get());
  if (comm.rank() != 0) return 0;
  print_out(fmt::format("{}\n\n", loaded->origin));
  for (std::size_t i = 0; i < std::min(kShownPeople, recommendations.size()); ++i)
    print_out(to_text(recommendations[i]));
  if (recommendations.size() > kShownPeople)
    print_out(fmt::format("and {} more people\n", recommendations.size() - kShownPeople));
  if (given.has("output")) write_recommendations(given.text("output"), dataset, recommendations);
  if (given.has("json")) write_file(given.text("json"), to_json(recommendations, loaded->origin));
  return 0;
}

}  // namespace

Command recommend_command() {
  Command command;
  command.name = "recommend";
  command.summary = "the best next items for given people, with titles";
  command.examples = {"seqrank recommend --run=runs/a --data=ml-1m.h5 --users=17,42 --k=10",
                      "seqrank recommend --run=runs/a --data=ml-1m.h5 --users=all --diversity=0.3 "
                      "--output=all.jsonl",
                      "seqrank recommend --run=runs/a --data=ml-1m.h5 --stdin < histories.jsonl"};
  command.options = options();
  command.more_options = options_of_named_model;
  command.ranks = Ranks::several;
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank

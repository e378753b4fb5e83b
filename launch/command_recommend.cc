// seqrank recommend: the best next items for given people, with titles, for a person to read.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/command.h"
#include "launch/list.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/table.h"
#include "launch/use_model.h"
#include "trainer/load_model.h"
#include "trainer/recommend.h"

namespace seqrank {
namespace {

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = use_model_options();
  specs.push_back({"users", OptionKind::text, "", "keys of people in the data set: 17,42"});
  specs.push_back({"k", OptionKind::integer, "10", "items a person", "1..1000"});
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

std::vector<std::string> users_of(const Options& given) {
  SR_CHECK(given.has("users"), ErrorKind::usage,
           "--users is missing: keys of people in the data set, for example --users=17,42");
  return split_list("users", given.text("users"));
}

void dry_run(const Options& given) {
  const std::vector<std::string> users = users_of(given);
  const Dataset dataset = open_for_use(given);
  for (const std::string& user : users) {
    SR_CHECK(dataset.find_user(user), ErrorKind::usage, "--users: {} has no user {}",
             dataset.path(), user);
  }
  print_out(fmt::format("would recommend {} items to each of {} people with {}\n",
                        given.integer("k"), users.size(), chosen_model(given)));
}

int run(const Options& given, Communicator& comm) {
  const std::vector<std::string> users = users_of(given);
  const Dataset dataset = open_for_use(given);
  RankDevice device(comm, given, rank_threads(comm, given));
  if (!device.why().empty()) warn(device.why());
  Context& ctx = device.ctx();
  const auto loaded = load_model(ctx, comm, given.text("run"), given.text("model.name"), dataset,
                                 use_settings(given), warn);
  const std::int64_t k = std::min(given.integer("k"), dataset.items());
  const auto recommendations = recommend(ctx, *loaded->model, dataset, users, k,
                                         evaluate_options_from(loaded->options, Split::test));
  print_out(fmt::format("{}\n\n", loaded->origin));
  for (const Recommendation& one : recommendations) print_out(to_text(one));
  if (given.has("json")) {
    write_file(given.text("json"), to_json(recommendations, loaded->origin));
  }
  return 0;
}

}  // namespace

Command recommend_command() {
  Command command;
  command.name = "recommend";
  command.summary = "the best next items for given people, with titles";
  command.examples = {"seqrank recommend --run=runs/a --data=ml-1m.h5 --users=17,42 --k=10"};
  command.options = options();
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank

// seqrank explain: which past events a recommendation rests on, as a table, JSON and a picture.
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "collective/communicator.h"
#include "launch/command.h"
#include "launch/explanation_chart.h"
#include "launch/gnuplot.h"
#include "launch/list.h"
#include "launch/model_choice.h"
#include "launch/output.h"
#include "launch/rank_device.h"
#include "launch/ranks.h"
#include "launch/report.h"
#include "launch/table.h"
#include "launch/use_model.h"
#include "launch/world.h"
#include "trainer/explain.h"
#include "trainer/load_model.h"

namespace seqrank {
namespace {

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> specs = use_model_options();
  for (OptionSpec& spec : world_options()) specs.push_back(spec);
  specs.push_back({"users", OptionKind::text, "",
                   "keys of people in the data set: 17,42; of "
                   "somebody with several sequences the latest is meant"});
  specs.push_back({"k", OptionKind::integer, "1", "best items a person", "1..1000"});
  specs.push_back({"item", OptionKind::text, "", "key of the one item to explain, instead of --k"});
  specs.push_back({"svg", OptionKind::text, "", "picture of the first explanation (SVG)"});
  specs.push_back(json_option());
  return specs;
}

std::string to_text(const Explanation& one) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t e = one.events.size(); e-- > 0;) {  // the newest first
    const EventEffect& event = one.events[e];
    rows.push_back({fmt::format("{:4}", one.events.size() - e), event.title, event.key,
                    event.attention ? fmt::format("{:.3f}", *event.attention) : "-",
                    fmt::format("{:+.4f}", event.effect)});
  }
  const std::string place = one.rank > 0 ? fmt::format("place {}, ", one.rank) : "";
  return fmt::format("user {}: {} (item {}), {}score {:.3f}\n", one.user, one.item.title,
                     one.item.key, place, one.item.score) +
         format_table({" ago", "event", "item", attention_title(one), "score lost without it"},
                      rows, {0, 1}) +
         "\n";
}

std::string to_json(const std::vector<Explanation>& explanations, const std::string& origin) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Explanation& one : explanations) {
    nlohmann::ordered_json events = nlohmann::ordered_json::array();
    for (const EventEffect& event : one.events) {
      nlohmann::ordered_json entry = {{"item", event.key}, {"title", event.title}};
      if (event.attention) entry["attention"] = *event.attention;
      entry["effect"] = event.effect;
      events.push_back(std::move(entry));
    }
    nlohmann::ordered_json entry = {{"user", one.user},
                                    {"item", one.item.key},
                                    {"title", one.item.title},
                                    {"rank", nullptr},
                                    {"score", one.item.score}};
    if (one.rank > 0) entry["rank"] = one.rank;
    if (one.events.back().attention) entry["attention_sums_to_one"] = one.attention_is_shares;
    entry["events"] = std::move(events);
    list.push_back(std::move(entry));
  }
  const nlohmann::ordered_json json = {{"model", origin}, {"explanations", list}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::vector<std::string> users_of(const Options& given) {
  SR_CHECK(given.has("users"), ErrorKind::usage,
           "--users is missing: keys of people in the data set, for example --users=17,42");
  if (given.has("svg")) check_gnuplot();
  return split_list("users", given.text("users"));
}

void dry_run(const Options& given) {
  const std::vector<std::string> users = users_of(given);
  const Dataset dataset = open_for_use(given);
  people_of(dataset, users);
  print_out(fmt::format("would explain {} to each of {} people with {}\n",
                        given.has("item") ? "item " + given.text("item")
                                          : fmt::format("{} items", given.integer("k")),
                        users.size(), chosen_model(given)));
}

int run(const Options& given, Communicator& comm) {
  const std::vector<std::string> users = users_of(given);
  const Dataset dataset = open_for_use(given);
  RankDevice device(comm, given, rank_threads(comm, given));
  if (comm.rank() == 0 && !device.why().empty()) warn(device.why());
  const auto loaded = load_for_use(device, comm, given, dataset);
  const auto item =
      given.has("item") ? std::optional<std::string>(given.text("item")) : std::nullopt;
  const auto explanations =
      explain(device.ctx(), *loaded->model, dataset, users, given.integer("k"), item,
              evaluate_options_from(loaded->options, Split::test), loaded->exchange.get());
  if (comm.rank() != 0) return 0;
  print_out(fmt::format("{}\n\n", loaded->origin));
  for (const Explanation& one : explanations) print_out(to_text(one));
  if (given.has("json")) write_file(given.text("json"), to_json(explanations, loaded->origin));
  if (given.has("svg") && !explanations.empty())
    draw_explanation(explanations.front(), given.text("svg"));
  return 0;
}

}  // namespace

Command explain_command() {
  Command command;
  command.name = "explain";
  command.summary = "which past events a recommendation rests on";
  command.examples = {"seqrank explain --run=runs/a --data=ml-1m.h5 --users=17 --svg=why.svg",
                      "seqrank explain --run=runs/a --data=ml-1m.h5 --users=17 --item=1193"};
  command.options = options();
  command.more_options = options_of_named_model;
  command.ranks = Ranks::several;
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank

// Two panels side by side, as a gnuplot script.
#include "launch/explanation_chart.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/gnuplot.h"

namespace seqrank {
namespace {

constexpr std::size_t kShownEvents = 20;
constexpr std::size_t kShownBytes = 30;  // of a title

// For a double-quoted string of gnuplot, of at most kShownBytes bytes, cut between characters.
std::string label(const std::string& title) {
  std::string shown;
  for (const char c : title) {
    const bool starts_character = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (shown.size() >= kShownBytes && starts_character) return shown + "...";
    shown += c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' ? '\'' : c;
  }
  return shown;
}

}  // namespace

std::string attention_title(const Explanation& explanation) {
  return explanation.attention_is_shares ? "attention" : "attention, of any sum";
}

void draw_explanation(const Explanation& explanation, const std::string& path) {
  const auto& events = explanation.events;
  const std::size_t first = events.size() - std::min(events.size(), kShownEvents);
  std::string data;
  for (std::size_t e = first; e < events.size(); ++e)
    data += fmt::format("{} \"{}\" {} {}\n", e - first, label(events[e].title), events[e].effect,
                        events[e].attention.value_or(0));
  const bool attends = events.back().attention.has_value();
  const auto panel = [&](const std::string& title, int column, const char* labels) {
    return fmt::format(
        "set title '{}'\nplot $events using (${}/2):1:(abs(${})/2):(0.35){} with boxxyerror fs "
        "solid 0.6 notitle\n",
        title, column, column, labels);
  };
  draw_svg(path, fmt::format("$events << END\n{}END\n"
                             "set multiplot layout 1,{} title \"{} for user {}\" noenhanced\n"
                             "set yrange [-1:{}]\nset grid x\nset lmargin 30\n"
                             "set ytics noenhanced\n{}{}unset multiplot\n",
                             data, attends ? 2 : 1, label(explanation.item.title),
                             label(explanation.user), events.size() - first,
                             panel("score lost without it", 3, ":ytic(2)"),
                             attends ? "set lmargin 6\nset format y ''\n" +
                                           panel(attention_title(explanation), 4, "")
                                     : ""));
}

}  // namespace seqrank

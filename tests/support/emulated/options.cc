// Reads the options of the emulated device from text (options.h).
#include "tests/support/emulated/options.h"

#include <charconv>
#include <cstdlib>
#include <utility>

#include "backend/check.h"
#include "tests/support/emulated/sanitizers.h"

namespace seqrank::emu {

namespace {

unsigned number(std::string_view name, std::string_view value) {
  unsigned n = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  SR_CHECK(error == std::errc{} && end == value.data() + value.size(), ErrorKind::usage,
           "emulated device: {}={} is not a number", name, value);
  return n;
}

template <class T, std::size_t count>
T choice(std::string_view name, std::string_view value,
         const std::pair<std::string_view, T> (&choices)[count]) {
  for (const auto& [text, meaning] : choices) {
    if (value == text) return meaning;
  }
  throw Error(ErrorKind::usage, fmt::format("emulated device: {}={} is not known", name, value));
}

void set_option(Options& o, std::string_view name, std::string_view value) {
  const auto n = [&] { return number(name, value); };
  if (name == "devices") {
    o.devices = static_cast<int>(n());
  } else if (name == "device_memory_kb") {
    o.device_memory = std::size_t{n()} << 10;
  } else if (name == "pool_keeps_freed") {
    o.pool_keeps_freed = n() != 0;
  } else if (name == "schedule") {
    o.schedule = choice<Schedule>(name, value,
                                  {{"forward", Schedule::forward},
                                   {"reverse", Schedule::reverse},
                                   {"random", Schedule::random},
                                   {"greedy", Schedule::greedy}});
  } else if (name == "tsan") {
    o.tsan = choice<TsanView>(name, value,
                              {{"blocks", TsanView::blocks}, {"threads", TsanView::threads}});
  } else if (name == "os_threads") {
    o.os_threads = n();
  } else if (name == "seed") {
    o.seed = n();
  } else if (name == "check_order") {
    o.check_order = n() != 0;
  } else if (name == "check_written") {
    o.check_written = n() != 0;
  } else if (name == "hosts_apart") {
    o.hosts_apart = n() != 0;
  } else if (name == "random_delay_us") {
    o.random_delay_us = n();
  } else if (name == "slow_stream") {
    o.slow_stream = value;
  } else if (name == "slow_us") {
    o.slow_us = n();
  } else if (name == "serial_host_tasks") {
    o.serial_host_tasks = n() != 0;
  } else if (name == "stuck_after_s") {
    o.stuck_after_s = n();
  } else {
    throw Error(ErrorKind::usage, fmt::format("emulated device: no option {}", name));
  }
}

void set_all(Options& o, std::string_view text) {
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    SR_CHECK(equals != item.npos, ErrorKind::usage, "emulated device: {} is not NAME=VALUE", item);
    set_option(o, item.substr(0, equals), item.substr(equals + 1));
  }
}

Options from_environment() {
  const sanitizers::Untraced untraced;
  Options o;
  if (const char* text = std::getenv("SEQRANK_EMULATED")) set_all(o, text);
  return o;
}

}  // namespace

Options& options() {
  static Options o = from_environment();
  return o;
}

void set_options(std::string_view text) {
  set_all(options(), text);
}

}  // namespace seqrank::emu

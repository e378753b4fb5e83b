// One list of fields a struct serves writing and reading.
#include "launch/doctor/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

template <class Facts, class Visit>
void visit_process(Facts& facts, Visit&& visit) {
  visit("seat", facts.seat);
  visit("launcher_processors", facts.launcher_processors);
  visit("threads_asked", facts.threads);
  visit("launcher", facts.claim.launcher);
  visit("launcher_ranks", facts.claim.ranks);
  visit("launcher_rank", facts.claim.rank);
  visit("job_tasks", facts.job_tasks);
  visit("binary", facts.binary);
  visit("versions", facts.versions);
  visit("configuration", facts.configuration);
  visit("cuda_built", facts.cuda.built);
  visit("cuda_missing", facts.cuda.missing);
  visit("cuda_driver", facts.cuda.driver);
  visit("cuda_runtime", facts.cuda.runtime);
  visit("devices", facts.cuda.devices);
  visit("token", facts.token);
}

template <class Facts, class Visit>
void visit_device(Facts& facts, Visit&& visit) {
  visit("name", facts.name);
  visit("pci", facts.pci);
  visit("capability", facts.capability);
  visit("memory_bytes", facts.memory_bytes);
  visit("peers", facts.peers);
}

template <class Facts, class Visit>
void visit_storage(Facts& facts, Visit&& visit) {
  visit("data", facts.data);
  visit("data_error", facts.data_error);
  visit("data_error_code", facts.data_error_code);
  visit("fingerprint", facts.fingerprint);
  visit("lock_error", facts.lock_error);
  visit("run", facts.run);
  visit("run_error", facts.run_error);
  visit("token_seen", facts.token_seen);
  visit("free_bytes", facts.free_bytes);
  visit("model_error", facts.model_error);
  visit("parameters", facts.parameters);
  visit("saved", facts.saved);
  visit("checkpoints", facts.checkpoints);
  visit("table_bytes", facts.table_bytes);
  visit("table_folder", facts.table_folder);
  visit("table_system", facts.table_system);
  visit("table_free", facts.table_free);
}

// Paths and messages of the system need not be UTF-8.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

auto reader(const Json& json) {
  return [&json](const char* name, auto& value) { json.at(name).get_to(value); };
}

}  // namespace

void to_json(Json& json, const DeviceFacts& facts) {
  visit_device(facts, [&](const char* name, const auto& value) { json[name] = value; });
}
void from_json(const Json& json, DeviceFacts& facts) {
  visit_device(facts, reader(json));
}
void to_json(Json& json, const ProcessFacts& facts) {
  visit_process(facts, [&](const char* name, const auto& value) { json[name] = value; });
}
void to_json(Json& json, const StorageFacts& facts) {
  visit_storage(facts, [&](const char* name, const auto& value) { json[name] = value; });
}

std::string to_text(const ProcessFacts& facts) {
  return dump(Json(facts));
}
std::string to_text(const StorageFacts& facts) {
  return dump(Json(facts));
}

std::vector<ProcessFacts> process_facts(const std::vector<std::string>& texts) {
  std::vector<ProcessFacts> all;
  for (const std::string& text : texts) {
    ProcessFacts facts;
    try {
      const Json json = Json::parse(text);
      visit_process(facts, reader(json));
    } catch (const Json::exception&) {
      facts = {};
      facts.binary = "of another version";
    }
    all.push_back(std::move(facts));
  }
  return all;
}

std::vector<StorageFacts> storage_facts(const std::vector<std::string>& texts) {
  std::vector<StorageFacts> all;
  for (const std::string& text : texts) {
    const Json json = Json::parse(text);
    visit_storage(all.emplace_back(), reader(json));
  }
  return all;
}

std::string cuda_version(int number) {
  return fmt::format("CUDA {}.{}", number / 1000, number % 1000 / 10);
}

std::vector<Seat> seats_of(const std::vector<ProcessFacts>& processes) {
  std::vector<Seat> seats;
  for (const ProcessFacts& facts : processes) seats.push_back(facts.seat);
  return seats;
}

std::vector<int> threads_of(const std::vector<ProcessFacts>& processes) {
  const std::vector<Seat> seats = seats_of(processes);
  std::vector<int> threads;
  for (std::size_t rank = 0; rank < processes.size(); ++rank) {
    const int asked = processes[rank].threads;
    threads.push_back(asked > 0 ? asked : threads_by_seat(seats, static_cast<int>(rank)));
  }
  return threads;
}

std::map<int, std::vector<int>> ranks_by_node(const std::vector<ProcessFacts>& processes) {
  std::map<int, std::vector<int>> nodes;
  for (std::size_t rank = 0; rank < processes.size(); ++rank) {
    nodes[processes[rank].seat.node].push_back(static_cast<int>(rank));
  }
  return nodes;
}

std::string option_of(const ProcessFacts& facts, const std::string& key) {
  const auto found = facts.configuration.find(key);
  return found == facts.configuration.end() ? "(none)" : found->second;
}

bool computes_on_cuda(const std::vector<ProcessFacts>& processes) {
  return option_of(processes.at(0), "device") != "cpu" &&
         std::none_of(processes.begin(), processes.end(),
                      [](const ProcessFacts& facts) { return facts.cuda.devices.empty(); });
}

const DeviceFacts* device_of(const ProcessFacts& facts) {
  const std::vector<DeviceFacts>& devices = facts.cuda.devices;
  if (devices.empty()) return nullptr;
  return &devices[static_cast<std::size_t>(facts.seat.local_rank) % devices.size()];
}

}  // namespace seqrank

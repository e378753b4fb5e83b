// A file is a row of TFRecords: length, its checksum, message, its checksum; numbers little-endian.
// The messages are in event_file.proto. A record torn by a crash is at the end and passed over.
#include "trainer/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/crc.hpp>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "backend/check.h"
#include "trainer/event_file.pb.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "events.out.tfevents.";

double wall_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// The seconds in the name of an event file; -1 for other names.
std::int64_t name_seconds(const std::string& name) {
  if (!name.starts_with(kPrefix)) return -1;
  std::int64_t seconds = -1;
  const char* begin = name.data() + std::string_view(kPrefix).size();
  std::from_chars(begin, name.data() + name.size(), seconds);
  return seconds;
}

// Later than every file there is, even where two starts share a second or a clock went back.
std::string next_path(const std::string& folder) {
  auto seconds = static_cast<std::int64_t>(wall_time());
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    seconds = std::max(seconds, name_seconds(at->path().filename().string()) + 1);
  return fmt::format("{}/{}{:010}.seqrank", folder, kPrefix, seconds);
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

// CRC-32C, rotated and shifted as TFRecords want it.
std::string masked_crc(const std::string& bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return little_endian(((sum >> 15) | (sum << 17)) + 0xA282EAD8u, 4);
}

tensorboard::Event event_at(std::int64_t step) {
  tensorboard::Event event;
  event.set_wall_time(wall_time());
  event.set_step(step);
  return event;
}

}  // namespace

EventFile::EventFile(const std::string& folder, std::int64_t step, Report report)
    : report_(std::move(report)) {
  try {
    file_ = File(next_path(folder), O_WRONLY | O_CREAT | O_EXCL);
  } catch (const Error& error) {
    report_(fmt::format("{}; training goes on without TensorBoard events", error.what()));
    return;
  }
  tensorboard::Event version = event_at(0);
  version.set_file_version("brain.Event:2");
  write(version.SerializeAsString());
  // TensorBoard keeps earlier events of steps below this one's.
  tensorboard::Event start = event_at(step + 1);
  start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  write(start.SerializeAsString());
}

void EventFile::append(std::int64_t step, const std::string& group,
                       const std::map<std::string, double>& scalars) {
  tensorboard::Event event = event_at(step);
  for (const auto& [name, scalar] : scalars) {
    tensorboard::Summary::Value* value = event.mutable_summary()->add_value();
    value->set_tag(group + "/" + name);
    value->set_simple_value(static_cast<float>(scalar));
  }
  write(event.SerializeAsString());
}

void EventFile::write(const std::string& message) {
  if (file_.descriptor() < 0) return;
  const std::string length = little_endian(message.size(), 8);
  const std::string record = length + masked_crc(length) + message + masked_crc(message);
  try {
    file_.write_at(bytes_, record.data(), record.size());
    bytes_ += static_cast<std::int64_t>(record.size());
  } catch (const Error& error) {
    file_ = File();
    report_(fmt::format("{}; training goes on without TensorBoard events", error.what()));
  }
}

}  // namespace seqrank

// Seconds and calls by operator, and the arithmetic of matrix products: what `bench step` prints.
// Filled through the one dispatch point, so that no operator times itself. Off unless a Context is
// given a profile.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "backend/stream.h"

namespace seqrank {

struct Profile {
  struct Entry {
    double seconds = 0;
    std::int64_t calls = 0;
  };
  std::map<std::string, Entry> operators;
  // Of matrix products of forward and backward, recomputation not counted (model FLOPs).
  double flops = 0;
};

// Adds the time of its life to an entry, on a GPU with all that it enqueued; nothing, and no wait,
// where the profile is null.
class ProfileScope {
 public:
  ProfileScope(Profile* profile, Stream& compute, const char* name)
      : profile_(profile), compute_(compute), name_(name) {
    if (profile_ == nullptr) return;
    compute_.synchronize();
    begin_ = std::chrono::steady_clock::now();
  }
  ~ProfileScope() {
    if (profile_ == nullptr) return;
    compute_.synchronize();
    Profile::Entry& entry = profile_->operators[name_];
    entry.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    ++entry.calls;
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profile* profile_;
  Stream& compute_;
  const char* name_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace seqrank

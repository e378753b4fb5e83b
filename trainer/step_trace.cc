// A communication stream that does at once what it is told and remembers when it was told and when
// it was waited for.
#include "trainer/step_trace.h"

#include <algorithm>

namespace seqrank {
namespace {

using Time = TraceRecorder::Time;

double seconds_of(Time::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Of the operators of Optimiser, so far.
double optimiser_seconds(const Profile& profile) {
  double seconds = 0;
  for (const char* name : {"adamw", "rowwise_adagrad", "lazy_adam", "add_squared_norm"}) {
    const auto found = profile.operators.find(name);
    if (found != profile.operators.end()) seconds += found->second.seconds;
  }
  return seconds;
}

bool ask_the_same(const StepTrace& a, const StepTrace& b) {
  return std::equal(a.entries.begin(), a.entries.end(), b.entries.begin(), b.entries.end(),
                    [](const TraceEntry& x, const TraceEntry& y) {
                      return x.operation == y.operation && x.call == y.call;
                    });
}

template <class F>
auto median_of(const std::vector<StepTrace>& steps, F&& value) {
  std::vector<decltype(value(steps[0]))> values;
  for (const StepTrace& step : steps) values.push_back(value(step));
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

class TraceRecorder::RecordingStream final : public Stream {
 public:
  struct Moment {
    Time time;
    double optimiser_seconds;  // so far
    int call;                  // made at this time, or waited for with all before it
    bool waits;
  };

  explicit RecordingStream(const Profile& profile) : profile_(profile) {}

  void enqueue(std::function<void()> task) override {
    remember(calls_++, false);
    task();
  }
  Event record() override { return Event(std::make_shared<Place>(*this, calls_ - 1)); }
  void wait(const Event& event) override { event.wait(); }
  void synchronize() override { remember(calls_ - 1, true); }
  double waited_seconds() const override { return 0; }
  void copy(void*, const void*, std::size_t, Copy) override { SR_ASSERT(false, "traced on a CPU"); }

  const std::vector<Moment>& moments() const { return moments_; }

 private:
  class Place final : public EventState {
   public:
    Place(RecordingStream& stream, int call) : stream_(stream), call_(call) {}
    bool done() const override { return true; }
    void wait() override { stream_.remember(call_, true); }

   private:
    RecordingStream& stream_;
    int call_;
  };

  void remember(int call, bool waits) {
    moments_.push_back(
        {std::chrono::steady_clock::now(), optimiser_seconds(profile_), call, waits});
  }

  const Profile& profile_;
  int calls_ = 0;
  std::vector<Moment> moments_;
};

TraceRecorder::TraceRecorder(const Profile& profile)
    : stream_(std::make_shared<RecordingStream>(profile)), comm_(make_null_communicator(stream_)) {
  comm_->set_log(&log_);
}

TraceRecorder::~TraceRecorder() = default;

StepTrace TraceRecorder::step_of(Time begin, Time end, int ranks) const {
  const auto& moments = stream_->moments();
  const auto first = std::find_if(moments.begin(), moments.end(),
                                  [&](const auto& moment) { return moment.time >= begin; });
  const auto last =
      std::find_if(first, moments.end(), [&](const auto& moment) { return moment.time >= end; });
  const double optimiser_before =
      first == moments.begin() ? 0 : std::prev(first)->optimiser_seconds;
  const auto others_work = [&](double optimiser_seconds) {
    return (optimiser_seconds - optimiser_before) * (1 - 1.0 / ranks);
  };
  const auto first_call = std::find_if(first, last, [](const auto& m) { return !m.waits; });
  const int base = first_call == last ? 0 : first_call->call;
  StepTrace step;
  step.seconds = seconds_of(end - begin);
  if (first != last) step.seconds -= others_work(std::prev(last)->optimiser_seconds);
  for (auto moment = first; moment != last; ++moment) {
    const double at = seconds_of(moment->time - begin) - others_work(moment->optimiser_seconds);
    const CallTiming* call = moment->waits ? nullptr : &log_.at(moment->call);
    step.entries.push_back(
        {at, call ? call->operation : "", moment->call - base, call ? call->bytes : 0});
  }
  return step;
}

StepTrace TraceRecorder::trace(const std::vector<Time>& begin, int ranks) const {
  std::vector<StepTrace> steps;
  for (std::size_t i = 0; i + 1 < begin.size(); ++i)
    steps.push_back(step_of(begin[i], begin[i + 1], ranks));
  if (steps.empty()) return {};
  StepTrace typical = steps.back();
  std::erase_if(steps, [&](const StepTrace& step) { return !ask_the_same(step, typical); });
  typical.seconds = median_of(steps, [](const StepTrace& step) { return step.seconds; });
  for (std::size_t i = 0; i < typical.entries.size(); ++i) {
    TraceEntry& entry = typical.entries[i];
    entry.at = median_of(steps, [i](const StepTrace& step) { return step.entries[i].at; });
    entry.bytes = median_of(steps, [i](const StepTrace& step) { return step.entries[i].bytes; });
  }
  return typical;
}

}  // namespace seqrank

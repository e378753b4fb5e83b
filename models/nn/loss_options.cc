// One table says which loss reads which option; all others must be left alone.
#include "models/nn/loss_options.h"

#include <algorithm>
#include <string>

#include "backend/check.h"

namespace seqrank {
namespace {

struct Kind {
  const char* name;
  SampledLoss loss;
};
constexpr Kind kSampled[] = {{"sampled_softmax", SampledLoss::softmax},
                             {"bce", SampledLoss::bce},
                             {"gbce", SampledLoss::gbce},
                             {"bpr", SampledLoss::bpr},
                             {"bpr_max", SampledLoss::bpr_max},
                             {"top1", SampledLoss::top1},
                             {"top1_max", SampledLoss::top1_max}};

struct ReadBy {
  const char* option;
  const char* kinds;  // "|" at both ends of each
};
constexpr const char* kAllSampled = "|sampled_softmax|bce|gbce|bpr|bpr_max|top1|top1_max|";
constexpr ReadBy kReadBy[] = {
    {"model.label_smoothing", "|softmax|"}, {"loss.negatives", kAllSampled},
    {"loss.sampler", kAllSampled},          {"loss.own_items", kAllSampled},
    {"loss.log_q", "|sampled_softmax|"},    {"loss.gbce_t", "|gbce|"},
    {"loss.bpr_reg", "|bpr_max|"}};

Sampler sampler_named(const std::string& name) {
  if (name == "distinct") return Sampler::distinct;
  if (name == "frequency") return Sampler::frequency;
  return name == "in_batch" ? Sampler::in_batch : Sampler::uniform;
}

std::string default_of(const Options& options, const std::string& key) {
  const auto& specs = options.specs();
  const auto found = std::ranges::find(specs, key, &OptionSpec::key);
  SR_ASSERT(found != specs.end(), "option {} was never declared", key);
  return found->default_value;
}

void check_read(const Options& options, const std::string& kind) {
  for (const ReadBy& read : kReadBy) {
    const std::string kinds = read.kinds;
    const std::string& value = options.text(read.option);
    SR_CHECK(kinds.find("|" + kind + "|") != std::string::npos ||
                 value == default_of(options, read.option),
             ErrorKind::usage, "--{}={}: --loss.kind={} does not read it; {} does", read.option,
             value, kind, kinds.substr(1, kinds.size() - 2));
  }
}

}  // namespace

std::vector<OptionSpec> loss_options() {
  return {
      {"loss.kind", OptionKind::choice, "softmax",
       "softmax: exact, over all items; the others compare with drawn negatives",
       "softmax|sampled_softmax|bce|gbce|bpr|bpr_max|top1|top1_max"},
      {"loss.negatives", OptionKind::integer, "256",
       "items drawn a step, the same for all of its events", "1..16777216"},
      {"loss.sampler", OptionKind::choice, "uniform",
       "how: uniform; distinct: uniform, none twice; frequency: by 1 + training targets; in_batch: "
       "targets of the step",
       "uniform|distinct|frequency|in_batch"},
      {"loss.own_items", OptionKind::flag, "yes",
       "no: items of an event's own sequence are left out of its negatives, as those a person has "
       "are left out of their recommendations"},
      {"loss.log_q", OptionKind::flag, "yes",
       "sampled_softmax: subtract the log of how often a negative is expected"},
      {"loss.gbce_t", OptionKind::real, "0.75", "gbce: 0 is bce, 1 calibrates probabilities",
       "0..1"},
      {"loss.bpr_reg", OptionKind::real, "1", "bpr_max: weight of the squared scores", "0..1000"},
  };
}

LossChoice loss_choice(const Options& options, std::int64_t items) {
  const std::string& kind = options.text("loss.kind");
  check_read(options, kind);
  LossChoice choice;
  if (kind == "softmax") return choice;
  choice.negatives = {options.integer("loss.negatives"),
                      sampler_named(options.text("loss.sampler")), !options.flag("loss.own_items")};
  choice.log_q = kind == "sampled_softmax" && options.flag("loss.log_q");
  SampledLossOptions& sampled = choice.sampled.emplace();
  sampled.kind = std::ranges::find(kSampled, kind, &Kind::name)->loss;
  sampled.temperature = static_cast<float>(options.real("model.temperature"));
  sampled.regulariser = static_cast<float>(options.real("loss.bpr_reg"));
  if (kind != "gbce") return choice;
  const Sampler sampler = choice.negatives.sampler;
  SR_CHECK((sampler == Sampler::uniform || sampler == Sampler::distinct) &&
               choice.negatives.count < items,
           ErrorKind::usage,
           "--loss.kind=gbce: its calibration takes negatives that are uniform and fewer than the "
           "{} items, not --loss.sampler={} --loss.negatives={}",
           items, options.text("loss.sampler"), choice.negatives.count);
  sampled.beta =
      static_cast<float>(gbce_beta(choice.negatives.count, items, options.real("loss.gbce_t")));
  return choice;
}

}  // namespace seqrank

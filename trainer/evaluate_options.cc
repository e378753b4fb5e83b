// How a data set is split and asked, as options of every command that trains or uses a model.
#include "trainer/evaluate.h"

#include <algorithm>
#include <cctype>

namespace seqrank {

std::vector<OptionSpec> evaluate_options() {
  return {
      {"data.max_length", OptionKind::integer, "200", "events of a sequence seen at once",
       "1..1000000"},
      {"data.protocol", OptionKind::choice, "p1",
       "what is for training and what is to be predicted. p1: the last event of each sequence; "
       "temporal: events after a cut in time; session: whole sequences, the last ones; ctr: the "
       "labels of the last tenth of each sequence",
       "p1|temporal|session|ctr"},
      {"data.validation_from", OptionKind::integer, "",
       "protocol temporal: the cut in seconds since 1970 where validation begins; without it as "
       "data.validation_share says"},
      {"data.test_from", OptionKind::integer, "", "likewise, where the test begins"},
      {"data.validation_share", OptionKind::real, "0.1",
       "protocol temporal: of all events, those between the two cuts", "0.001..0.9"},
      {"data.test_share", OptionKind::real, "0.1", "likewise, those after the second cut",
       "0.001..0.9"},
      {"table.split", OptionKind::choice, "auto",
       "rows of tables of items dealt out to the ranks of a group, rather than all on every rank; "
       "auto: where they are over 64 MiB",
       "auto|yes|no"},
      {"table.group", OptionKind::text, "node",
       "ranks that a split table is dealt out to, each group holding all rows: node (those of a "
       "host), all, or a number that divides the ranks"},
      {"table.tier", OptionKind::choice, "memory",
       "where tables lie that are trained by rows (table.optimiser), and when they are used; file: "
       "on disk, so that they may be larger than memory (CPU alone); host: in the host's memory, "
       "so that they may be larger than a GPU's (GPU alone)",
       "memory|host|file"},
      {"table.cache", OptionKind::real, "1024",
       "table.tier=host: MiB of the GPU's memory for the first rows, which `prepare` makes the "
       "most frequent items",
       "0..1e9"},
      {"table.folder", OptionKind::text, "",
       "table.tier=file: a folder on a fast disk; without it, the run folder"},
      {"evaluate.seen", OptionKind::choice, "",
       "whether items of the history may be ranked again; without it, protocol session keeps them "
       "and the others mask them",
       "masked|kept"},
  };
}

const char* selection_metric(ProtocolKind kind) {
  return kind == ProtocolKind::ctr ? "auc" : "ndcg@10";
}

std::string metric_title(const std::string& metric) {
  if (metric == "auc_per_user") return "AUC per user";
  if (metric == "log_loss") return "log-loss";
  if (metric == "log_loss_gain") return "less log-loss";
  std::string title = metric;
  const std::string name = metric.substr(0, metric.find('@'));
  for (const char* abbreviation : {"auc", "f1", "hr", "mrr", "ndcg"})
    if (name == abbreviation)
      for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::ranges::replace(title, '_', ' ');
  return title;
}

ProtocolOptions protocol_options_from(const Options& options) {
  ProtocolOptions result;
  result.kind = protocol_from_name(options.text("data.protocol"));
  if (options.has("data.validation_from"))
    result.validation_from = options.integer("data.validation_from");
  if (options.has("data.test_from")) result.test_from = options.integer("data.test_from");
  result.validation_share = options.real("data.validation_share");
  result.test_share = options.real("data.test_share");
  return result;
}

EvaluateOptions evaluate_options_from(const Options& options, Split split) {
  const bool kept = options.has("evaluate.seen") ? options.text("evaluate.seen") == "kept"
                                                 : options.text("data.protocol") == "session";
  return {split, kept ? Seen::kept : Seen::masked, options.integer("data.max_length")};
}

}  // namespace seqrank

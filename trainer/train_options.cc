// The declared options of a training run; "model.*" is declared by the model.
#include "trainer/train.h"

namespace seqrank {

std::vector<OptionSpec> train_options() {
  std::vector<OptionSpec> specs = {
      {"run", OptionKind::text, "", "run folder: configuration, metrics, checkpoints"},
      {"data", OptionKind::text, "", "data set (HDF5), as `seqrank prepare` writes it"},
      {"train.seed", OptionKind::integer, "1", "of initial values, sample order and dropout",
       "0.."},
      {"train.batch", OptionKind::integer, "32", "samples a step, over all ranks", "1..16777216"},
      {"train.epochs", OptionKind::integer, "20", "passes over the training data", "1..1000000"},
      {"train.steps", OptionKind::integer, "0", "steps of the whole run; 0: as train.epochs says",
       "0..1000000000000"},
      {"train.learning_rate", OptionKind::real, "0.002", "peak of the optimisers' rate", "0..100"},
      {"train.schedule", OptionKind::choice, "cosine", "of the rate after warm-up",
       "constant|cosine"},
      {"train.warmup", OptionKind::integer, "100", "steps in which the rate rises linearly",
       "0..1000000000000"},
      {"train.final_share", OptionKind::real, "0.01", "of the peak, where the cosine ends", "0..1"},
      {"train.clip", OptionKind::real, "1", "largest gradient norm; 0: not clipped", "0.."},
      {"train.weight_decay", OptionKind::real, "0", "decoupled, not on biases", "0..100"},
      {"table.optimiser", OptionKind::choice, "adamw",
       "of tables that a step reads by rows alone, as under drawn negatives; adamw: every row in "
       "every step; the others: rows that the step touched (row-wise Adagrad; Adam whose "
       "rows count their own updates), which decay only then",
       "adamw|rowwise_adagrad|lazy_adam"},
      {"table.dtype", OptionKind::choice, "fp32",
       "of the rows of tables that are trained by rows; bf16: half the memory, updated in fp32 and "
       "rounded at random to one of both neighbours, so that small updates count",
       "fp32|bf16"},
      {"train.init_from", OptionKind::text, "",
       "run folder, or one of its checkpoints, whose weights a new run starts from: parameters by "
       "name, items by key"},
      {"train.init_items", OptionKind::choice, "initial",
       "vectors of items that train.init_from does not have: their initial values, or the mean of "
       "those taken over",
       "initial|mean"},
      {"train.freeze", OptionKind::text, "",
       "parameters that keep their values: names or patterns (*, ?, [a-c]) between commas"},
      {"train.rate_scale", OptionKind::text, "",
       "factors of the learning rate by parameter, PATTERN:FACTOR between commas; of several that "
       "fit one, the last counts"},
      {"train.beta1", OptionKind::real, "0.9", "of Adam's first moment", "0..0.9999"},
      {"train.beta2", OptionKind::real, "0.999", "of Adam's second moment", "0..0.99999"},
      {"train.precision", OptionKind::choice, "fp32",
       "of operands of matrix products, whose sums are fp32; bf16 on a CPU: where it has such "
       "products; fp16: GPU alone",
       "fp32|tf32|bf16|fp16"},
      {"train.loss_scale", OptionKind::integer, "0",
       "power of two by which gradients are first enlarged, so that fp16 holds small ones; 0: "
       "65536 in fp16, else none",
       "0..16777216"},
      {"train.loss_scale_steps", OptionKind::integer, "2000",
       "steps in a row without overflow after which the loss scale doubles", "1..16777216"},
      {"train.evaluate_every", OptionKind::integer, "1",
       "epochs between evaluations on the validation split; 0: none", "0..1000000"},
      {"train.patience", OptionKind::integer, "0",
       "stop after so many evaluations without a better NDCG@10 (protocol ctr: AUC); 0: never",
       "0..1000000000"},
      {"train.save_every", OptionKind::integer, "0",
       "steps between checkpoints, besides one after each evaluation and at the end; 0: none",
       "0..1000000000000"},
      {"train.keep", OptionKind::integer, "2", "newest checkpoints kept, besides the best",
       "1..1000000"},
      {"train.on_save_failure", OptionKind::choice, "warn",
       "a checkpoint on the way cannot be written; the last one and metrics.jsonl must be",
       "warn|stop"},
      {"train.log_every", OptionKind::integer, "50", "steps between lines of metrics.jsonl",
       "1..1000000000000"},
      {"train.tensorboard", OptionKind::flag, "yes",
       "event files for TensorBoard, with the values of metrics.jsonl"},
      {"train.stop_at_step", OptionKind::integer, "0",
       "stop resumably (exit 75) after this step; 0: do not", "0..1000000000000"},
      {"train.bucket_bytes", OptionKind::integer, "2097152", "of gradients exchanged at once",
       "1..1000000000000"},
      {"train.overlap", OptionKind::flag, "yes",
       "gradients and values travel while the step computes; no: to measure what that saves"},
      {"train.fault", OptionKind::text, "", "for tests: where to fail"},
  };
  for (OptionSpec& spec : evaluate_options()) specs.push_back(std::move(spec));
  return specs;
}

}  // namespace seqrank

// Builds by the same entry as the trainer.
#include "tests/models/built_model.h"

#include "backend/ops/activation.h"
#include "tests/support/packed_batch.h"

namespace seqrank {

std::unique_ptr<Built> build(Context& ctx, const std::string& name,
                             const std::map<std::string, std::string>& settings,
                             std::int64_t items) {
  auto built = std::make_unique<Built>();
  built->name = name;
  built->options.declare(model_options(name));
  built->options.set("model.width", "8", "test");
  built->options.set("model.item_scale", "0.5", "test");
  for (const auto& [key, value] : settings) built->options.set(key, value, "test");
  built->model = find_model(name).make({built->options,
                                        items,
                                        built->store,
                                        {{"position", kPackedPositions},
                                         {"gap", kPackedGaps},
                                         {"hour", kPackedHours},
                                         {"weekday", kPackedWeekdays},
                                         {"item.interest", kPackedInterests},
                                         {"target.interest", kPackedInterests},
                                         {"user.kind", kPackedKinds}},
                                        [items](const std::string&) {
                                          std::vector<std::int32_t> interest_V(items);
                                          for (std::int64_t v = 0; v < items; ++v)
                                            interest_V[v] = packed_interest(v);
                                          return interest_V;
                                        }});
  built->store.allocate(ctx, 3);
  return built;
}

double loss_of(Context& ctx, Built& built, const Batch& batch) {
  Tape tape(ctx, TapeMode::training, 5);
  return built.trained().loss(tape, batch).value().span<double>()[0];
}

std::vector<float> gradient_of(Context& ctx, Built& built, const Batch& batch) {
  fill(ctx, built.store.gradients(), 0);
  Tape tape(ctx, TapeMode::training, 5);
  Var loss = built.trained().loss(tape, batch);
  tape.backward(loss);
  const auto gradient = built.store.gradients().span<float>();
  return {gradient.begin(), gradient.end()};
}

}  // namespace seqrank

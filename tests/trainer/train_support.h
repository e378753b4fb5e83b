// Training runs of tests: a small synthetic data set, runs on thread ranks, and what they leave.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "backend/device.h"
#include "collective/nccl.h"
#include "collective/staged.h"
#include "collective/thread.h"
#include "data/dataset_writer.h"
#include "data/event_columns.h"
#include "data/synth.h"
#include "tests/trainer/checkpoint_support.h"
#include "trainer/train.h"
#include "trainer/training_parts.h"

namespace seqrank {

using Settings = std::map<std::string, std::string>;

class Train : public testing::Test {
 protected:
  // The same events with labels, which follow from an item and the one before it, and items with
  // interests.
  void write_labelled(const Dataset& from) const {
    DatasetWriter writer(data_);
    std::vector<std::uint8_t> labels;
    std::vector<std::int32_t> interests;
    for (std::int64_t s = 0; s < from.sequences(); ++s) {
      std::vector<std::int32_t> items(from.length(s));
      from.read_items(from.begin(s), items);
      writer.add_sequence(items, {});
      for (std::size_t i = 0; i < items.size(); ++i)
        labels.push_back((items[i] + (i > 0 ? items[i - 1] : 0)) % 3 == 0 ? 1 : 0);
    }
    for (std::int64_t v = 0; v < from.items(); ++v)
      interests.push_back(static_cast<std::int32_t>(v % 5));
    writer.append("/event/label", labels);
    writer.append("/item/feature/interest", interests);
    for (const char* name : {"", "1", "2", "3", "4"})
      writer.append_text("/item/feature_values/interest", name);
    writer.finish(from.items());
  }

  Train() {
    SynthOptions synth_options;
    synth_options.output = temp_.path() + "/unlabelled.h5";
    synth_options.items = 60;
    synth_options.sequences = 150;
    synth_options.length = 12;
    synth_options.clusters = 6;
    synth(synth_options);
    write_labelled(Dataset::open(synth_options.output));
  }

  // Of attention_rnn where settings name no other model.
  Options options(const std::string& run, const Settings& settings) {
    Options result(train_options());
    result.declare({{"model.name", OptionKind::text, "attention_rnn", "model"}});
    const auto named = settings.find("model.name");
    result.declare(model_options(named == settings.end() ? "attention_rnn" : named->second));
    Settings all = {{"run", temp_.path() + "/" + run},
                    {"data", data_},
                    {"model.width", "8"},
                    {"train.batch", "10"},
                    {"train.log_every", "1"},
                    {"train.evaluate_every", "0"}};
    for (const auto& [key, value] : settings) all[key] = value;
    for (const auto& [key, value] : all) result.set(key, value, "test");
    return result;
  }

  TrainResult run(int ranks, const std::string& name, const Settings& settings) {
    TrainResult result;
    const Options given = options(name, settings);
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(Device::cpu, 1);
      TrainResult own = train(ctx, comm, Dataset::open(given.text("data")), given, {}, {});
      if (comm.rank() == 0) result = own;
    });
    return result;
  }

  // Likewise on CUDA devices. Staged, ranks share those that there are.
  enum class Exchange { nccl, staged };
  TrainResult run_on_device(int ranks, const std::string& name, const Settings& settings,
                            Exchange exchange = Exchange::staged) {
    TrainResult result;
    const Options given = options(name, settings);
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(Device::cuda, 1, 0, comm.rank() % cuda_devices());
      const auto device_comm = exchange == Exchange::staged
                                   ? make_staged_communicator(comm, ctx)
                                   : make_nccl_communicator(comm, ctx.ordinal());
      TrainResult own =
          train(ctx, {comm, *device_comm}, Dataset::open(given.text("data")), given, {}, {});
      if (comm.rank() == 0) result = own;
    });
    return result;
  }

  // The training lines of metrics.jsonl.
  std::vector<nlohmann::json> lines(const std::string& name) {
    std::istringstream text(read_file(temp_.path() + "/" + name + "/metrics.jsonl"));
    std::vector<nlohmann::json> result;
    for (std::string line; std::getline(text, line);) {
      auto json = nlohmann::json::parse(line);
      if (json.contains("loss")) result.push_back(std::move(json));
    }
    return result;
  }

  std::vector<double> losses(const std::string& name) {
    std::vector<double> result;
    for (const auto& line : lines(name)) result.push_back(line["loss"]);
    return result;
  }

  // What the newest checkpoint says besides tensors.
  TrainingState saved(const std::string& name) {
    const auto comm = make_null_communicator();
    CheckpointStore store(temp_.path() + "/" + name + "/checkpoints", *comm);
    return store.newest_good().value();
  }

  // All tensors of a checkpoint, read as one rank.
  std::vector<float> state(const std::string& name, std::int64_t step) {
    const std::string folder = temp_.path() + "/" + name + "/checkpoints";
    const std::string manifest = checkpoint_path(folder, step) + "/manifest.json";
    const auto comm = make_null_communicator();
    CheckpointStore store(folder, *comm);
    Context ctx(Device::cpu, 1);
    std::vector<float> all;
    for (const auto& [tensor, n] : tensors_of(parse_manifest(read_file(manifest), manifest))) {
      std::vector<TensorPiece> piece = {{tensor, 0, n, n, ctx.empty(DType::f32, {n})}};
      store.load(step, piece);
      const auto values = piece[0].data.span<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  // The weights alone, by name of the parameter.
  std::map<std::string, std::vector<float>> weights(const std::string& name, std::int64_t step,
                                                    const Settings& settings) {
    const auto comm = make_null_communicator();
    CheckpointStore store(temp_.path() + "/" + name + "/checkpoints", *comm);
    Context ctx(Device::cpu, 1);
    ParameterStore parameters;
    const Options given = options(name, settings);
    const std::int64_t items = Dataset::open(given.text("data")).items();
    find_model("attention_rnn").make({given, items, parameters});
    std::map<std::string, std::vector<float>> result;
    for (const Parameter& p : parameters.parameters()) {
      const std::int64_t n = p.shape.numel();
      std::vector<TensorPiece> piece = {{p.name + "/weight", 0, n, n, ctx.empty(DType::f32, {n})}};
      store.load(step, piece);
      const auto values = piece[0].data.span<float>();
      result[p.name].assign(values.begin(), values.end());
    }
    return result;
  }

  Scratch temp_;
  std::string data_ = temp_.path() + "/synth.h5";
};

}  // namespace seqrank

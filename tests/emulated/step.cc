// The training step of two ranks (step.h).
#include "tests/emulated/step.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "tests/emulated/all_reduce.h"
#include "tests/emulated/fault.h"
#include "tests/emulated/step_kernels.h"

namespace seqrank::emu {

namespace {

constexpr int kRanks = 2;
constexpr int kSamples = 32;  // of all ranks together, in each step
constexpr int kInputs = 20, kHidden = 50;
constexpr float kRate = 0.05f;

// A number in [-1, 1) that depends on nothing but its three coordinates.
float noise(int a, int b, int c) {
  unsigned x = unsigned(a) * 0x9e3779b9u ^ unsigned(b) * 0x85ebca6bu ^ unsigned(c) * 0xc2b2ae35u;
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return float((x ^ x >> 16) >> 8) / float(1 << 23) - 1;
}

// Inputs and target of one sample of one step, the same wherever they are asked for.
void make_sample(int step, int sample, std::span<float> x_D, float& target) {
  target = 0;
  for (int d = 0; d < kInputs; ++d) {
    x_D[d] = noise(step, sample, d);
    target += x_D[d] * x_D[d] * static_cast<float>(d % 3 - 1);
  }
}

std::vector<float> initial_weights(std::size_t count, int seed) {
  std::vector<float> w(count);
  for (std::size_t i = 0; i < count; ++i) w[i] = 0.3f * noise(seed, 7, static_cast<int>(i));
  return w;
}

class Rank {
 public:
  Rank(ThreadGroup& group, int rank);
  void step(int index);
  float loss();                  // of the last step, this rank's share; waits
  std::vector<float> weights();  // w1, then w2; waits

 private:
  static constexpr int kOwn = kSamples / kRanks;
  void load_batch(int index);
  void forward();
  void backward();

  int rank_;
  Stream compute_, comm_;
  Event batch_copied_, ready_w1_, ready_w2_, reduced_w1_, reduced_w2_, logged_, loss_copied_;
  PinnedBuffer<float> batch_host_, loss_host_, gradient_log_;
  DeviceBuffer<float> w1_DH_, w2_H_, x_BD_, target_B_, hidden_BH_, error_B_, loss_1_;
  StagedAllReduce staged_w1_, staged_w2_;
};

Rank::Rank(ThreadGroup& group, int rank)
    : rank_(rank),
      compute_("compute " + std::to_string(rank)),
      comm_("comm " + std::to_string(rank)),
      batch_host_(kOwn * (kInputs + 1)),
      loss_host_(1),
      gradient_log_(kHidden),
      w1_DH_(compute_, kInputs * kHidden),
      w2_H_(compute_, kHidden),
      x_BD_(compute_, kOwn * kInputs),
      target_B_(compute_, kOwn),
      hidden_BH_(compute_, kOwn * kHidden),
      error_B_(compute_, kOwn),
      loss_1_(compute_, 1),
      staged_w1_(group, rank, kInputs * kHidden),
      staged_w2_(group, rank, kHidden) {
  const auto set = [&](std::span<float> weights, int seed) {
    PinnedBuffer<float> staging(weights.size());
    std::ranges::copy(initial_weights(weights.size(), seed), staging.write().begin());
    copy(compute_, weights, staging.span());
    compute_.synchronize();
  };
  set(w1_DH_.span(), 1);
  set(w2_H_.span(), 2);
}

void Rank::load_batch(int index) {
  if (index > 0 && !is_planted(Fault::refill_too_early)) batch_copied_.synchronize();
  const std::span<float> batch = batch_host_.write();
  constexpr std::size_t inputs = kOwn * kInputs;
  for (int b = 0; b < kOwn; ++b) {
    make_sample(index, rank_ * kOwn + b, batch.subspan(b * kInputs, kInputs), batch[inputs + b]);
  }
  copy(compute_, x_BD_.span(), batch.first(inputs));
  copy(compute_, target_B_.span(), batch.subspan(inputs));
  compute_.record(batch_copied_);
}

void Rank::forward() {
  cuda_check(cudaMemsetAsync(loss_1_.span().data(), 0, sizeof(float), compute_.get()), "memset");
  multiply(compute_, hidden_BH_.span(), x_BD_.span(), w1_DH_.span(), kOwn, kInputs, kHidden);
  forward_head(compute_, hidden_BH_.span(), w2_H_.span(), target_B_.span(), error_B_.span(),
               loss_1_.span(), kSamples);
  copy(compute_, loss_host_.span(), loss_1_.span());
  compute_.record(loss_copied_);
}

// Each bucket leaves as soon as it is complete, while the backward pass goes on.
void Rank::backward() {
  const DeviceBuffer<float> grad_w2_H(compute_, kHidden);
  if (is_planted(Fault::wait_before_record)) comm_.wait(ready_w2_);
  if (is_planted(Fault::record_too_early)) compute_.record(ready_w2_);
  backward_w2(compute_, grad_w2_H.span(), hidden_BH_.span(), error_B_.span());
  if (!is_planted(Fault::record_too_early)) compute_.record(ready_w2_);
  if (!is_planted(Fault::reduce_without_wait) && !is_planted(Fault::wait_before_record)) {
    comm_.wait(ready_w2_);
  }
  staged_w2_.enqueue(comm_, grad_w2_H.span());
  comm_.record(reduced_w2_);

  const DeviceBuffer<float> grad_w1_DH(compute_, kInputs * kHidden);
  backward_w1(compute_, grad_w1_DH.span(), x_BD_.span(), hidden_BH_.span(), w2_H_.span(),
              error_B_.span());
  compute_.record(ready_w1_);
  comm_.wait(ready_w1_);
  staged_w1_.enqueue(comm_, grad_w1_DH.span());
  comm_.record(reduced_w1_);
  copy(comm_, gradient_log_.span(), grad_w2_H.span());
  comm_.record(logged_);

  if (!is_planted(Fault::update_without_wait)) {
    compute_.wait(reduced_w2_);
    compute_.wait(reduced_w1_);
  }
  sgd(compute_, w2_H_.span(), grad_w2_H.span(), kRate);
  sgd(compute_, w1_DH_.span(), grad_w1_DH.span(), kRate);

  // The buckets are freed here, on the compute stream: after all that the other stream does with
  // them.
  if (!is_planted(Fault::free_while_read)) compute_.wait(logged_);
  if (is_planted(Fault::host_dereferences)) loss_host_.write()[0] = grad_w2_H.span()[0];
}

void Rank::step(int index) {
  load_batch(index);
  forward();
  backward();
}

float Rank::loss() {
  if (!is_planted(Fault::read_before_copied)) loss_copied_.synchronize();
  return loss_host_.read()[0];
}

std::vector<float> Rank::weights() {
  PinnedBuffer<float> w1(w1_DH_.span().size()), w2(w2_H_.span().size());
  copy(compute_, w1.span(), w1_DH_.span());
  copy(compute_, w2.span(), w2_H_.span());
  compute_.synchronize();
  std::vector<float> all(w1.read().begin(), w1.read().end());
  all.insert(all.end(), w2.read().begin(), w2.read().end());
  return all;
}

template <class T>
struct Outcome {
  std::vector<T> losses, weights;
};

Outcome<float> train_rank(ThreadGroup& group, int rank, int steps) {
  cuda_check(cudaSetDevice(rank), "cudaSetDevice");
  Rank trainer(group, rank);
  Outcome<float> result;
  for (int i = 0; i < steps; ++i) {
    trainer.step(i);
    if (i % 4 == 3) result.losses.push_back(trainer.loss());
  }
  result.weights = trainer.weights();
  return result;
}

// One step of the reference; returns the loss.
double reference_step(int step, std::vector<double>& w1_DH, std::vector<double>& w2_H) {
  std::vector<double> g1_DH(w1_DH.size()), g2_H(w2_H.size());
  double loss = 0;
  for (int b = 0; b < kSamples; ++b) {
    std::vector<float> x_D(kInputs);
    float target;
    make_sample(step, b, x_D, target);
    std::vector<double> hidden_H(kHidden);
    double y = 0;
    for (int j = 0; j < kHidden; ++j) {
      for (int d = 0; d < kInputs; ++d) hidden_H[j] += x_D[d] * w1_DH[d * kHidden + j];
      hidden_H[j] = std::max(hidden_H[j], 0.0);
      y += hidden_H[j] * w2_H[j];
    }
    const double error = (y - target) / kSamples;
    loss += 0.5 * (y - target) * (y - target) / kSamples;
    for (int j = 0; j < kHidden; ++j) {
      g2_H[j] += error * hidden_H[j];
      for (int d = 0; d < kInputs; ++d) {
        if (hidden_H[j] > 0) g1_DH[d * kHidden + j] += error * w2_H[j] * x_D[d];
      }
    }
  }
  for (std::size_t i = 0; i < w1_DH.size(); ++i) w1_DH[i] -= kRate * g1_DH[i];
  for (std::size_t j = 0; j < w2_H.size(); ++j) w2_H[j] -= kRate * g2_H[j];
  return loss;
}

Outcome<double> train_reference(int steps) {
  const auto first = initial_weights(kInputs * kHidden, 1), second = initial_weights(kHidden, 2);
  std::vector<double> w1_DH(first.begin(), first.end()), w2_H(second.begin(), second.end());
  Outcome<double> result;
  for (int step = 0; step < steps; ++step) {
    const double loss = reference_step(step, w1_DH, w2_H);
    if (step % 4 == 3) result.losses.push_back(loss);
  }
  result.weights = w1_DH;
  result.weights.insert(result.weights.end(), w2_H.begin(), w2_H.end());
  return result;
}

}  // namespace

bool training_is_right(int steps) {
  ThreadGroup group(kRanks);
  std::vector<Outcome<float>> ranks(kRanks);
  std::vector<std::thread> threads;
  for (int r = 0; r < kRanks; ++r) {
    threads.emplace_back([&, r] { ranks[r] = train_rank(group, r, steps); });
  }
  for (std::thread& t : threads) t.join();

  const Outcome<double> reference = train_reference(steps);
  const auto near = [](double a, double b) { return std::abs(a - b) < 1e-4; };  // not NaN
  bool right = true;
  for (std::size_t k = 0; k < reference.losses.size(); ++k) {
    right = right && near(ranks[0].losses[k] + ranks[1].losses[k], reference.losses[k]);
  }
  for (const Outcome<float>& o : ranks) {
    right = right && std::ranges::equal(o.weights, reference.weights, near);
  }
  return right;
}

}  // namespace seqrank::emu

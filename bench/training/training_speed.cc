// bench/training/training_speed.cc - how fast a decoder of a given shape learns: ours against plain
// LibTorch, and against the products of the machine.
//
//   training_speed --config bench/shapes/llama-120m.json --sequences 4 --length 512 --rounds 7
//
// Every round takes steps of each in turn, all of them of the same number of tokens, so that a
// neighbour on the machine slows all alike; medians are printed, and the least and most. A token of
// full training costs six operations for each weight of a product, and twelve for each key it sees,
// dimension of the heads and layer.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "model/family.h"
#include "model/model_files.h"
#include "plain_llama.h"
#include "train/batch.h"
#include "train/lora.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/tensor_memory.h"

namespace metier::bench {
namespace {

struct Flags {
  std::string config;
  std::int64_t sequences = 4;
  std::int64_t length = 512;
  std::int64_t rounds = 7;
  std::int64_t rank = 16;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  bool f32 = false;
  std::string only;
};

double Seconds(const std::function<void()>& run) {
  const auto started = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

double MiB(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

struct Contender {
  std::string name;
  std::function<void()> step;
  double operations = 0;  // of a step
  std::vector<double> seconds = {};
  std::uint64_t peak = 0;  // bytes of tensors that its first step has at most, beside its weights
};

// Of a token, forward and backward, where all weights learn.
double OperationsOfToken(const model::ModelSpec& spec, std::int64_t length) {
  const std::int64_t linears =
      spec.width * (2 * spec.q_width() + 2 * spec.kv_width()) + 3 * spec.width * spec.hidden;
  return 6.0 * static_cast<double>(spec.layers * linears + spec.vocab * spec.width) +
         12.0 * static_cast<double>(spec.layers * spec.q_width()) * static_cast<double>(length) / 2;
}

// As a run takes them: bf16 where the machine has it.
at::ScalarType ProductsOf(const Flags& flags) { return train::ProductType(!flags.f32, at::kCPU); }

// A network of ours and what it is trained with.
class Ours {
 public:
  Ours(const model::ModelSpec& spec, const Flags& flags, bool lora) : config_(ConfigOf()) {
    train::NetworkOptions options;
    options.precision.act = ProductsOf(flags);
    options.training = lora ? train::Training::kFrozen : train::Training::kAll;
    options.longest = flags.length;
    network_.emplace(*train::Network::Create(spec, options, [&](const std::string& name) {
      return model::RandomParameter(spec, name, 1, 0.02);
    }));
    if (lora) {
      recipe::LoraConfig adapter;
      adapter.rank = flags.rank;
      network_->SetLora(*train::LoraSet::Create(spec, adapter, 1, at::kFloat, at::kCPU));
    }
    optimizer_.emplace(network_->Trainables(), config_);
  }

  void Step(const train::Batch& batch) {
    network_->Loss(batch, 1.0 / static_cast<double>(batch.counted), {.key = 1}).backward();
    const double norm = std::sqrt(optimizer_->SquaredNorm());
    optimizer_->Step(++step_, 1e-5, norm > 1 ? 1 / norm : 1);
  }

 private:
  static recipe::TrainConfig ConfigOf() { return {}; }

  recipe::TrainConfig config_;
  std::optional<train::Network> network_;
  std::optional<train::Optimizer> optimizer_;
  std::int64_t step_ = 0;
};

// A product whose operands fit no cache: what the machine's matrix units give at best.
struct Peak {
  static constexpr std::int64_t kSide = 4096;
  at::Tensor a, b;
  explicit Peak(at::ScalarType type)
      : a(at::randn({kSide, kSide}).to(type)), b(at::randn({kSide, kSide}).to(type)) {}
  void Multiply() const { at::mm(a, b); }
};

void Print(const Contender& contender, double tokens, double peak) {
  std::vector<double> sorted = contender.seconds;
  std::ranges::sort(sorted);
  const double median = sorted[sorted.size() / 2];
  fmt::print("{:22} {:8.0f} tokens/s ({:.0f}-{:.0f})", contender.name, tokens / median,
             tokens / sorted.back(), tokens / sorted.front());
  if (contender.operations > 0)
    fmt::print(" {:5.1f} % of the peak", 100 * contender.operations / median / peak);
  fmt::print(", {:.0f} MiB of tensors at most\n", MiB(contender.peak));
}

Result<model::ModelSpec> ReadShape(const std::string& path) {
  METIER_ASSIGN(const Json config, ReadJsonFile(path));
  METIER_ASSIGN(const model::Family* family,
                model::FindFamilyByModelType(config.at("model_type").get<std::string>()));
  return family->from_config(config);
}

// What memory a step takes, beyond what is there before it.
void MeasureMemory(Contender& contender) {
  train::TensorMemory& memory = train::TensorMemory::Ours();
  memory.Release();
  const std::uint64_t before = memory.statistics().in_use;
  contender.step();
  contender.peak = memory.statistics().peak - before;
}

// What steps take that follow on each other, as those of a run do: the one before them has the
// memory of the last contender's to make its own.
void MeasureTime(Contender& contender) {
  constexpr int kSteps = 2;
  contender.step();
  contender.seconds.push_back(Seconds([&] {
                                for (int i = 0; i < kSteps; ++i) contender.step();
                              }) /
                              kSteps);
}

Status Run(const Flags& flags) {
  METIER_ASSIGN(const model::ModelSpec spec, ReadShape(flags.config));
  const at::ScalarType act = ProductsOf(flags);
  const at::Tensor ids = at::randint(spec.vocab, {flags.sequences, flags.length}, at::kLong);
  std::vector<std::vector<std::int32_t>> sequences;
  for (std::int64_t s = 0; s < flags.sequences; ++s) {
    const auto* row = ids.data_ptr<std::int64_t>() + s * flags.length;
    sequences.emplace_back(row, row + flags.length);
  }
  const train::Batch batch = train::MakeBatch(sequences, {}, at::kCPU);
  const auto tokens = static_cast<double>(flags.sequences * flags.length);
  const double operations = tokens * OperationsOfToken(spec, flags.length);
  const Peak peak(act);
  PlainLlama plain(spec, flags.length, act);
  PlainLlama plain_lora(spec, flags.length, act);
  plain_lora.AddLora(flags.rank);
  Ours ours(spec, flags, false);
  Ours ours_lora(spec, flags, true);
  const auto plain_step = [&](PlainLlama& model) {
    model.Loss(ids).backward();
    model.Step(1e-5);
  };
  std::vector<Contender> contenders = {
      {"LibTorch, all weights", [&] { plain_step(plain); }, operations},
      {"metier, all weights", [&] { ours.Step(batch); }, operations},
      {"LibTorch, LoRA", [&] { plain_step(plain_lora); }},
      {"metier, LoRA", [&] { ours_lora.Step(batch); }}};
  std::vector<double> rates;
  std::erase_if(contenders, [&](const Contender& contender) {
    return contender.name.find(flags.only) == std::string::npos;
  });
  for (Contender& contender : contenders) MeasureMemory(contender);
  for (std::int64_t round = 0; round < flags.rounds; ++round) {
    rates.push_back(2.0 * Peak::kSide * Peak::kSide * Peak::kSide /
                    Seconds([&] { peak.Multiply(); }));
    for (Contender& contender : contenders) MeasureTime(contender);
  }
  std::ranges::sort(rates);
  const double rate = rates[rates.size() / 2];
  fmt::print("{} threads; product of {} x {}, {}: {:.0f} GFLOP/s\n", flags.threads, Peak::kSide,
             Peak::kSide, act == at::kFloat ? "f32" : "bf16", rate / 1e9);
  for (const Contender& contender : contenders) Print(contender, tokens, rate);
  return Ok();
}

}  // namespace
}  // namespace metier::bench

int main(int argc, char** argv) {
  metier::bench::Flags flags;
  CLI::App app("training speed against plain LibTorch");
  app.add_option("--config", flags.config, "config.json of the shape")->required();
  app.add_option("--sequences", flags.sequences, "of a step")->capture_default_str();
  app.add_option("--length", flags.length, "tokens of a sequence")->capture_default_str();
  app.add_option("--rounds", flags.rounds, "steps of each")->capture_default_str();
  app.add_option("--rank", flags.rank, "of the adapters")->capture_default_str();
  app.add_option("--threads", flags.threads, "that work on a step")->capture_default_str();
  app.add_flag("--f32", flags.f32, "products of floats, also where there are products of bf16");
  app.add_option("--only", flags.only, "contenders of this name, for a profiler");
  CLI11_PARSE(app, argc, argv);
  metier::train::TensorMemory::Install();
  metier::train::SetThreads(flags.threads);
  const metier::Status status = metier::bench::Run(flags);
  if (status.ok()) return 0;
  fmt::print(stderr, "training_speed: {}\n", status.error().message());
  return 1;
}

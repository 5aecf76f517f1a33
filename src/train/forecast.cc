#include "train/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <tuple>
#include <utility>

#include "base/memory.h"
#include "train/ops.h"
#include "train/probe.h"
#include "train/run_data.h"
#include "train/schedule.h"
#include "train/tensor_memory.h"
#include "train/worker_place.h"

namespace metier::train {
namespace {

constexpr std::int64_t kSamples = 4;
constexpr std::int64_t kMostRead = 4096;  // batches that the heaviest is looked for among

// Figures that are as many times as large with as many layers; what the allocator does is not.
constexpr std::int64_t ProbeFigures::*kCounts[] = {&ProbeFigures::trained, &ProbeFigures::standing,
                                                   &ProbeFigures::kept, &ProbeFigures::gradients,
                                                   &ProbeFigures::peak};
constexpr double ProbeFigures::*kSeconds[] = {&ProbeFigures::learning, &ProbeFigures::updating,
                                              &ProbeFigures::judging};

// Layers that cost alike.
using LayerKind = std::tuple<bool, std::int64_t, std::int64_t>;

LayerKind KindOf(const model::ModelSpec& spec, std::int64_t layer) {
  const model::LayerSpec& pattern = spec.layer[static_cast<std::size_t>(layer)];
  return {pattern.rope, pattern.sliding_window, spec.experts_of(layer)};
}

// The run's batches to measure on, and of how many tokens all of its steps are.
struct Workload {
  ProbeBatches batches;
  double step_tokens = 0;  // on average
};

Result<Workload> LookAt(const recipe::TrainConfig& config, const RunData& data, at::Device device) {
  Workload work;
  StepReader reader(data.train().corpus, config);
  const std::int64_t batch_packs = recipe::BatchSize(config);
  const std::int64_t count = (data.train().counts.packs + batch_packs - 1) / batch_packs;
  const std::int64_t read = std::min(count, kMostRead);
  std::vector<std::vector<Pack>> all;
  std::int64_t steps = 0;
  while (static_cast<std::int64_t>(all.size()) < read) {
    METIER_ASSIGN(StepPlan plan, reader.Next());
    ++steps;
    for (auto& packs : plan.batches) all.push_back(std::move(packs));
  }
  const auto tokens_of = [](const std::vector<Pack>& packs) {
    std::int64_t tokens = 0;
    for (const Pack& pack : packs)
      for (const Piece& piece : pack) tokens += piece.tokens;
    return tokens;
  };
  std::int64_t tokens = 0;
  for (const auto& packs : all) tokens += tokens_of(packs);
  const auto heaviest = std::ranges::max_element(all, {}, tokens_of);
  work.batches.heaviest = data.MakeBatch(data.train(), *heaviest, device);
  work.batches.a_step = config.gradient_accumulation_steps;
  const auto batches = static_cast<std::int64_t>(all.size());
  const std::int64_t samples = std::min(kSamples, batches);
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto& packs = all[static_cast<std::size_t>((2 * i + 1) * batches / (2 * samples))];
    work.batches.samples.push_back(data.MakeBatch(data.train(), packs, device));
  }
  work.step_tokens = static_cast<double>(tokens) / static_cast<double>(steps);
  return work;
}

ProbeFigures Times(const ProbeFigures& figures, double factor) {
  ProbeFigures scaled;
  const auto scale = [&](std::int64_t ProbeFigures::*member) {
    scaled.*member = std::llround(static_cast<double>(figures.*member) * factor);
  };
  for (const auto member : kCounts) scale(member);
  for (const auto member : kSeconds) scaled.*member = figures.*member * factor;
  return scaled;
}

ProbeFigures Plus(const ProbeFigures& a, const ProbeFigures& b) {
  ProbeFigures sum;
  for (const auto member : kCounts) sum.*member = a.*member + b.*member;
  for (const auto member : kSeconds) sum.*member = a.*member + b.*member;
  return sum;
}

// What a layer more adds. Of the peak: a backward pass gives back what the forward pass has kept of
// a layer and leaves its gradients, so that the peak is at its beginning or at its end; with
// gradients of batches before, at its beginning.
ProbeFigures LayerOf(const ProbeFigures& fewer, const ProbeFigures& more, std::int64_t layers,
                     std::int64_t batches) {
  ProbeFigures layer = Times(Plus(more, Times(fewer, -1)), 1.0 / static_cast<double>(layers));
  layer.peak = layer.standing +
               (batches > 1 ? layer.kept + layer.gradients : std::max(layer.kept, layer.gradients));
  return layer;
}

class Probes {
 public:
  Probes(const recipe::TrainConfig& config, const model::ModelSpec& spec,
         const ProbeBatches& batches, const EventSink& sink)
      : config_(config), spec_(spec), batches_(batches), sink_(sink) {
    for (std::int64_t n = 0; n < spec_.layers; ++n) kinds_[KindOf(spec_, n)].push_back(n);
  }

  // Of all layers.
  Result<ProbeFigures> Whole() {
    // The kind with most experts comes first: what is asked of experts then has some in every
    // probe.
    const auto first = std::ranges::max_element(kinds_, {}, [](const auto& kind) {
      return std::pair(std::get<2>(kind.first), kind.second.size());
    });
    const std::vector<std::int64_t> base = first->second;
    const auto count = static_cast<std::int64_t>(base.size());
    if (spec_.layers <= kDeep) return Probe(spec_);
    const std::int64_t deep = std::min(count, kDeep);
    METIER_ASSIGN(const ProbeFigures most, Probe(WithLayers(spec_, First(base, deep))));
    ProbeFigures whole = most;
    if (count > deep) {
      METIER_ASSIGN(const ProbeFigures least, Probe(WithLayers(spec_, First(base, kShallow))));
      const ProbeFigures layer = LayerOf(least, most, deep - kShallow, batches_.a_step);
      whole = Plus(whole, Times(layer, static_cast<double>(count - deep)));
    }
    for (const auto& [kind, layers] : kinds_) {
      if (kind == first->first) continue;
      const std::int64_t added =
          std::min<std::int64_t>(static_cast<std::int64_t>(layers.size()), kDeep - kShallow);
      std::vector<std::int64_t> both = First(base, deep);
      const std::vector<std::int64_t> others = First(layers, added);
      both.insert(both.end(), others.begin(), others.end());
      std::ranges::sort(both);
      METIER_ASSIGN(const ProbeFigures with, Probe(WithLayers(spec_, both)));
      const ProbeFigures layer = LayerOf(most, with, added, batches_.a_step);
      whole = Plus(whole, Times(layer, static_cast<double>(layers.size())));
    }
    Reserve(most, whole);
    return whole;
  }

 private:
  static constexpr std::int64_t kShallow = 2;
  static constexpr std::int64_t kDeep = 5;

  static std::vector<std::int64_t> First(const std::vector<std::int64_t>& layers,
                                         std::int64_t count) {
    return {layers.begin(),
            layers.begin() + std::min(count, static_cast<std::int64_t>(layers.size()))};
  }

  // What the allocator takes for the whole, as it did for a part.
  static void Reserve(const ProbeFigures& part, ProbeFigures& whole) {
    const double times = static_cast<double>(whole.peak) / static_cast<double>(part.peak);
    const auto scaled = [&](std::int64_t bytes) {
      return std::llround(static_cast<double>(bytes) * times);
    };
    whole.allocated = scaled(part.allocated);
    const auto most = static_cast<std::int64_t>(
        TensorMemory::MostWaiting(static_cast<std::uint64_t>(whole.allocated)));
    whole.waiting = std::min<std::int64_t>(scaled(part.waiting), most);
  }

  Result<ProbeFigures> Probe(const model::ModelSpec& spec) {
    if (sink_) {
      sink_({{"event", "log"},
             {"text", fmt::format("trying {} of {} layers", spec.layers, spec_.layers)}});
    }
    return RunProbe(config_, spec, batches_);
  }

  const recipe::TrainConfig& config_;
  const model::ModelSpec& spec_;
  const ProbeBatches& batches_;
  const EventSink& sink_;
  std::map<LayerKind, std::vector<std::int64_t>> kinds_;
};

std::int64_t TokensOf(const Corpus& corpus) {
  std::int64_t tokens = 0;
  for (std::size_t s = 0; s < corpus.sources(); ++s) tokens += corpus.tokens(s);
  return tokens;
}

// Seconds before the first step and while it evaluates.
struct BesideLearning {
  double before = 0;
  double evaluation = 0;
};

BesideLearning LookBeside(const recipe::TrainConfig& config, const RunData& data,
                          const ProbeFigures& whole) {
  BesideLearning beside;
  std::int64_t judged = 0;
  for (const Reading& reading : data.evals()) judged += reading.counts.tokens;
  const std::int64_t total = data.total_steps();
  const std::int64_t regular = config.eval_steps > 0 ? total / config.eval_steps : 0;
  const bool last = config.eval_steps == 0 || total % config.eval_steps != 0;
  beside.evaluation = static_cast<double>((regular + (last ? 1 : 0)) * judged) * whole.judging;
  if (recipe::HasReference(config)) {
    std::int64_t answers = TokensOf(data.train().corpus);
    for (const Reading& reading : data.evals()) answers += TokensOf(reading.corpus);
    // Kto reads each answer behind another prompt, too.
    beside.before += static_cast<double>(answers * (config.stage == "kto" ? 2 : 1)) * whole.judging;
  }
  if (config.ewc) {
    const Corpus& old = data.old().corpus;
    const double share = std::min(
        1.0, static_cast<double>(config.ewc->max_examples) / static_cast<double>(old.examples()));
    beside.before += share * static_cast<double>(TokensOf(old)) * whole.learning;
  }
  return beside;
}

// Where references are compared with, their values do not matter.
void FillReferences(const recipe::TrainConfig& config, RunData& data) {
  if (!recipe::HasReference(config)) return;
  Reading& reading = data.train();
  reading.references.assign(static_cast<std::size_t>(reading.corpus.examples()), -1.0);
  if (config.stage == "kto") reading.mismatched = reading.references;
}

// Bytes of what every configuration has: an adapter's own numbers are few beside it.
std::int64_t LeastBytes(const recipe::TrainConfig& config, const model::ModelSpec& spec) {
  const std::int64_t numbers = model::ParameterCount(spec);
  const bool bf16 = ProductType(config.bf16, at::kCPU) == at::kBFloat16;
  if (config.quantization_bit > 0) return numbers * config.quantization_bit / 8;
  if (recipe::LeavesModel(config)) return numbers * (bf16 ? 2 : 4);
  constexpr std::int64_t kLearning = 12;  // a gradient and two moments
  return numbers * ((bf16 ? 6 : 4) + kLearning);
}

}  // namespace

Status CheckFits(const recipe::TrainConfig& config, const model::ModelSpec& spec) {
  if (config.device != "cpu") return Ok();
  const auto there = static_cast<double>(AvailableMemoryBytes());
  const auto least = static_cast<double>(LeastBytes(config, spec));
  if (there == 0 || least <= there) return Ok();
  const bool frozen = recipe::LeavesModel(config);
  constexpr double kGiB = 1 << 30;
  return Error(
      ErrorCode::kResourceExhausted,
      fmt::format("the run's {} alone take {:.1f} GiB of memory, {:.1f} GiB can be had; {}",
                  frozen ? "weights" : "weights, gradients and moments", least / kGiB, there / kGiB,
                  frozen ? "say `quantization_bit: 4`, or take a smaller model"
                         : "train an adapter (lora), or take a smaller model"));
}

Result<Json> Forecast(const recipe::TrainConfig& config, const EventSink& sink) {
  METIER_ASSIGN(const WorkerPlace place,
                ReadWorkerPlace([](const char* name) { return std::getenv(name); }));
  if (place.count > 1 || config.router || config.hyper || config.grpo) {
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("plan: found {}, expected one process that trains weights or one adapter",
                    config.router  ? "a router"
                    : config.hyper ? "a hypernetwork"
                    : config.grpo  ? "stage grpo"
                                   : "several workers"));
  }
  SetThreads(config.threads);
  METIER_ASSIGN(const at::Device device, ParseDevice(config.device));
  METIER_ASSIGN(const ModelSource source, OpenModelSource(config));
  METIER_TRY(CheckFits(config, source.spec));
  METIER_ASSIGN(RunData data,
                RunData::Open(config, source.spec.vocab, {{}, source.spec.moe.tasks}));
  FillReferences(config, data);
  METIER_ASSIGN(const Workload work, LookAt(config, data, device));
  Probes probes(config, source.spec, work.batches, sink);
  METIER_ASSIGN(const ProbeFigures whole, probes.Whole());
  TensorMemory::Ours().Release();
  const std::uint64_t program = ResidentBytes();
  const auto steps = static_cast<double>(data.total_steps());
  const double step = work.step_tokens * whole.learning + whole.updating;
  const BesideLearning beside = LookBeside(config, data, whole);
  const std::int64_t consolidation = config.ewc ? 8 * whole.trained : 0;
  const std::int64_t tensors = whole.peak + consolidation;
  const std::int64_t reserve =
      std::max<std::int64_t>(0, whole.allocated - whole.peak) + whole.waiting;
  const std::int64_t peak = tensors + reserve + static_cast<std::int64_t>(program);
  const std::int64_t standing = whole.standing + consolidation;
  // What the program itself has is no longer among what can be had.
  const std::uint64_t available = AvailableMemoryBytes();
  const bool cpu = device.is_cpu();
  const bool known = cpu && available > 0;
  Json memory = {{"weights_and_moments", standing},
                 {"gradients", whole.gradients},
                 {"activations", std::max<std::int64_t>(0, tensors - standing - whole.gradients)},
                 {"reserve", reserve},
                 {"program", cpu ? Json(program) : Json(nullptr)},
                 {"peak", cpu ? peak : tensors},
                 {"available", known ? Json(available + program) : Json(nullptr)}};
  return Json{{"parameters", model::ParameterCount(source.spec)},
              {"trainable_parameters", whole.trained},
              {"steps", data.total_steps()},
              {"tokens", static_cast<std::int64_t>(steps * work.step_tokens)},
              {"memory", std::move(memory)},
              {"seconds",
               {{"step", step},
                {"training", steps * step},
                {"evaluation", beside.evaluation},
                {"before", beside.before},
                {"total", steps * step + beside.evaluation + beside.before}}},
              {"fits", known ? Json(static_cast<std::uint64_t>(peak) <= available + program)
                             : Json(nullptr)}};
}

}  // namespace metier::train

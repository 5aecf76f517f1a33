#include "engine/model_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/memory.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "engine/mixture.h"
#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "format/peft.h"
#include "kernels/dispatch.h"
#include "model/adapter.h"

namespace metier::engine {
namespace {

using model::AdapterId;
using model::SequenceId;
using model::SequenceStep;
using model::TokenId;
using model::Want;

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::uint64_t StoredBytes(const model::ModelFiles& files, const model::Parameter& parameter) {
  const auto elements = static_cast<std::uint64_t>(tensor::ElementCount(parameter.shape));
  return tensor::BytesFor(files.StoredType(parameter.name), elements).value_or(0);
}

Status CheckOptions(const SpeedOptions& options) {
  std::string wrong;
  if (options.repeats < 1) wrong = fmt::format("{} repeats, expected one or more", options.repeats);
  if (options.prompt_tokens < 0 || options.new_tokens < 0 || options.past_tokens < 0)
    wrong = "fewer than 0 tokens";
  if (options.adapters < 0 || options.rank < 1) wrong = "adapters of no rank";
  if (options.routed < 0 || options.routed > options.adapters)
    wrong = fmt::format("{} of {} adapters for a token, expected at most all of them; ask for more",
                        options.routed, options.adapters);
  for (const std::int64_t streams : options.streams) {
    if (streams < 1) wrong = fmt::format("{} streams, expected one or more", streams);
  }
  if (options.adapters > 0 && !options.adapter.empty())
    wrong = "random adapters on top of an adapter; leave one of them out";
  if (wrong.empty()) return Ok();
  return Error(ErrorCode::kInvalidArgument, "measuring: " + wrong);
}

tensor::Tensor RandomMatrix(std::int64_t rows, std::int64_t columns, Rng& rng) {
  tensor::Tensor matrix(tensor::DType::kF32, {rows, columns});
  for (float& value : matrix.f32()) value = static_cast<float>(0.02 * (2 * rng.Uniform() - 1));
  return matrix;
}

model::Adapter RandomAdapter(const model::ModelSpec& spec, std::int64_t rank, Rng& rng) {
  model::Adapter adapter;
  for (const model::LinearModule& module : model::LinearModules(spec)) {
    for (const model::LinearModule::Part& part : module.parts) {
      adapter.deltas.push_back({.linear = part.linear,
                                .a = RandomMatrix(rank, module.in, rng),
                                .b = RandomMatrix(part.out, rank, rng)});
    }
  }
  std::sort(adapter.deltas.begin(), adapter.deltas.end(),
            [](const auto& a, const auto& b) { return a.linear < b.linear; });
  return adapter;
}

// One router for each layer, which reads what attention reads, of experts that change `linears`.
model::AdapterMixture RandomMixture(const model::ModelSpec& spec, const SpeedOptions& options,
                                    const std::set<std::string>& linears, Rng& rng) {
  model::AdapterMixture mixture{.name = "random", .top_k = options.routed};
  for (std::int64_t n = 0; n < spec.layers; ++n) {
    const std::string layer = fmt::format("layers.{}.", n);
    model::AdapterRouter router{.reads = layer + "attn.q",
                                .weight = RandomMatrix(options.adapters, spec.width, rng)};
    std::copy_if(linears.begin(), linears.end(), std::back_inserter(router.linears),
                 [&](const std::string& linear) { return linear.starts_with(layer); });
    mixture.routers.push_back(std::move(router));
  }
  return mixture;
}

// Sequences that are closed when this goes.
class OpenSequences {
 public:
  explicit OpenSequences(model::Backend& backend) : backend_(backend) {}
  ~OpenSequences() {
    for (const SequenceId id : ids_) backend_.CloseSequence(id);
  }
  OpenSequences(const OpenSequences&) = delete;
  OpenSequences& operator=(const OpenSequences&) = delete;

  Status Add(AdapterId adapter) {
    METIER_ASSIGN(const SequenceId id, backend_.OpenSequence(adapter));
    ids_.push_back(id);
    return Ok();
  }
  const std::vector<SequenceId>& ids() const { return ids_; }

 private:
  model::Backend& backend_;
  std::vector<SequenceId> ids_;
};

// One model's measurements, each a function that gives tokens per second.
class Measurement {
 public:
  Measurement(NativeBackend& backend, const SpeedOptions& options)
      : backend_(backend), options_(options), rng_(options.seed) {}

  // The adapter of all sequences, or N random ones.
  Status AddAdapters() {
    if (!options_.adapter.empty()) {
      METIER_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(options_.adapter));
      METIER_ASSIGN(const model::Adapter adapter, model::ToAdapter(backend_.spec(), peft));
      METIER_ASSIGN(const AdapterId id, backend_.AddAdapter(adapter));
      plain_ = {id};
    }
    std::set<std::string> linears;
    for (std::int64_t i = 0; i < options_.adapters; ++i) {
      model::Adapter adapter = RandomAdapter(backend_.spec(), options_.rank, rng_);
      if (options_.routed > 0)
        std::erase_if(adapter.deltas, [](const auto& delta) { return !IsRoutable(delta.linear); });
      for (const model::LoraDelta& delta : adapter.deltas) linears.insert(delta.linear);
      METIER_ASSIGN(const AdapterId id, backend_.AddAdapter(adapter));
      random_.push_back(id);
    }
    if (options_.routed == 0) return Ok();
    METIER_ASSIGN(
        const AdapterId mixed,
        backend_.AddMixture(RandomMixture(backend_.spec(), options_, linears, rng_), random_));
    random_ = {mixed};
    return Ok();
  }

  enum class Adapters { kPlain, kRandom };
  Result<double> Prompt(std::int64_t tokens, Adapters adapters) {
    OpenSequences sequences(backend_);
    METIER_TRY(sequences.Add(adapters == Adapters::kRandom ? random_.front() : plain_.front()));
    const std::vector<TokenId> prompt = RandomTokens(tokens);
    const Stopwatch watch;
    METIER_TRY(Step(sequences, prompt, Want::kLast));
    const double seconds = watch.Seconds();
    NoteCache();
    return static_cast<double>(tokens) / seconds;
  }

  Result<double> Decode(std::int64_t streams, Adapters adapters) {
    const std::vector<AdapterId>& ids = adapters == Adapters::kRandom ? random_ : plain_;
    OpenSequences sequences(backend_);
    for (std::int64_t i = 0; i < streams; ++i)
      METIER_TRY(sequences.Add(ids[static_cast<std::size_t>(i) % ids.size()]));
    if (options_.past_tokens > 0) {
      METIER_TRY(Step(sequences, RandomTokens(streams * options_.past_tokens), Want::kNothing));
    }
    const std::vector<TokenId> tokens = RandomTokens(streams * options_.new_tokens);
    const Stopwatch watch;
    for (std::int64_t i = 0; i < options_.new_tokens; ++i) {
      const auto step = std::span(tokens).subspan(static_cast<std::size_t>(i * streams),
                                                  static_cast<std::size_t>(streams));
      METIER_TRY(Step(sequences, step, Want::kLast));
    }
    const double seconds = watch.Seconds();
    NoteCache();
    return static_cast<double>(streams * options_.new_tokens) / seconds;
  }

  std::uint64_t cache_bytes() const { return cache_bytes_; }

 private:
  std::vector<TokenId> RandomTokens(std::int64_t count) {
    std::vector<TokenId> tokens(static_cast<std::size_t>(count));
    for (TokenId& token : tokens)
      token = static_cast<TokenId>(rng_.Below(static_cast<std::uint64_t>(backend_.spec().vocab)));
    return tokens;
  }

  // An equal share of the tokens for every sequence.
  Status Step(const OpenSequences& sequences, std::span<const TokenId> tokens, Want want) {
    const std::size_t share = tokens.size() / sequences.ids().size();
    std::vector<SequenceStep> steps;
    for (const SequenceId id : sequences.ids()) {
      steps.push_back(
          {.sequence = id, .tokens = tokens.subspan(steps.size() * share, share), .want = want});
    }
    METIER_TRY(backend_.Forward(steps));
    return Ok();
  }

  void NoteCache() { cache_bytes_ = std::max(cache_bytes_, backend_.cache().used_bytes()); }

  NativeBackend& backend_;
  const SpeedOptions& options_;
  Rng rng_;
  std::vector<AdapterId> plain_ = {AdapterId::kNone};
  std::vector<AdapterId> random_;
  std::uint64_t cache_bytes_ = 0;
};

// Of an expert's weights that a token reads, on average: "layers.3.experts.0.up.weight".
double ShareOfExpert(const model::ModelSpec& spec, const std::string& name) {
  const std::int64_t layer = std::stoll(name.substr(std::string("layers.").size()));
  const auto experts = static_cast<double>(spec.experts_of(layer));
  const bool choose = spec.moe.chooser == model::ExpertChooser::kExpert;
  return choose ? std::min(1.0, spec.moe.capacity / experts)
                : static_cast<double>(spec.moe.top_k) / experts;
}

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .least = values.front(), .most = values.back()};
}

std::uint64_t BytesReadPerToken(const model::ModelFiles& files) {
  const model::ModelSpec& spec = files.spec();
  double bytes = 0;
  for (const model::Parameter& parameter : model::Parameters(spec)) {
    const auto stored = static_cast<double>(StoredBytes(files, parameter));
    const bool table = parameter.name.starts_with("embed.") && parameter.shape.size() == 2;
    if (table && !(parameter.name == "embed.tokens" && spec.head && spec.tied_head)) continue;
    const bool expert = parameter.name.find(".experts.") != std::string::npos;
    bytes += expert ? ShareOfExpert(spec, parameter.name) * stored : stored;
  }
  return static_cast<std::uint64_t>(bytes);
}

Result<ModelSpeed> MeasureModel(const SpeedOptions& options, const SpeedProgress& progress) {
  METIER_TRY(CheckOptions(options));
  const Stopwatch load;
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(options.model));
  METIER_ASSIGN(auto weights,
                NativeModel::FromFiles(files, {.max_expert_bytes = options.max_expert_bytes}));
  const ExpertCache* experts = weights->expert_cache();
  const int threads = options.threads > 0 ? options.threads : ThreadPool::DefaultThreads();
  NativeBackend backend(
      std::move(weights),
      {.threads = threads, .kv_type = options.kv_type, .arithmetic = options.arithmetic});
  ModelSpeed speed{.isa = kernels::Kernels().name, .threads = threads};
  speed.load_seconds = load.Seconds();
  speed.parameters = model::ParameterCount(files.spec());
  for (const model::Parameter& parameter : model::Parameters(files.spec()))
    speed.weight_bytes += StoredBytes(files, parameter);
  speed.token_bytes = BytesReadPerToken(files);

  Measurement measure(backend, options);
  METIER_ASSIGN(const double first, measure.Prompt(1, Measurement::Adapters::kPlain));
  speed.first_token_seconds = 1 / first;
  METIER_TRY(measure.AddAdapters());

  struct Wanted {
    std::function<Result<double>()> run;
    Spread* result;
  };
  using Adapters = Measurement::Adapters;
  std::vector<Wanted> wanted;
  if (options.prompt_tokens > 0) {
    wanted.push_back({[&] { return measure.Prompt(options.prompt_tokens, Adapters::kPlain); },
                      &speed.prompt_tokens_per_second});
  }
  if (options.prompt_tokens > 0 && options.adapters > 0) {
    wanted.push_back({[&] { return measure.Prompt(options.prompt_tokens, Adapters::kRandom); },
                      &speed.adapted_prompt});
  }
  if (files.spec().causal && options.new_tokens > 0) {
    for (const std::int64_t streams : options.streams) speed.decode.push_back({.streams = streams});
  }
  for (DecodeSpeed& decode : speed.decode) {
    wanted.push_back({[&] { return measure.Decode(decode.streams, Adapters::kPlain); },
                      &decode.tokens_per_second});
    if (options.adapters == 0) continue;
    wanted.push_back(
        {[&] { return measure.Decode(decode.streams, Adapters::kRandom); }, &decode.adapted});
  }

  // Round by round over all of them, so that a slow minute of the machine slows no single one.
  std::vector<std::vector<double>> values(wanted.size());
  const auto total = wanted.size() * static_cast<std::size_t>(options.repeats + 1);
  std::size_t done = 0;
  for (std::int64_t round = 0; round <= options.repeats; ++round) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      METIER_ASSIGN(const double value, wanted[i].run());
      if (round > 0) values[i].push_back(value);  // round 0 warms up
      progress(++done, total);
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) *wanted[i].result = SpreadOf(values[i]);
  speed.cache_bytes = measure.cache_bytes();
  if (experts != nullptr) speed.experts = experts->stats();
  speed.peak_bytes = PeakResidentBytes();
  return speed;
}

}  // namespace metier::engine

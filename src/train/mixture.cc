#include "train/mixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "base/rng.h"
#include "model/mixture_files.h"

namespace metier::train {
namespace {

constexpr std::uint64_t kRouterSeed = 0x726f757465727aULL;  // apart from the adapters' streams
constexpr double kRouterStd = 0.02;

// Linears of one input: what a router of that input reads, and what it routes.
struct Stage {
  std::string_view reads;
  std::array<std::string_view, 3> linears;
};
constexpr Stage kStages[] = {{"attn.q", {"attn.q", "attn.k", "attn.v"}},
                             {"attn.o", {"attn.o"}},
                             {"ffn.up", {"ffn.gate", "ffn.up"}},
                             {"ffn.down", {"ffn.down"}}};

at::Tensor SmallRandom(std::int64_t rows, std::int64_t columns, std::uint64_t seed,
                       std::uint64_t stream) {
  const at::Tensor values = at::empty({rows, columns}, at::kFloat);
  float* data = values.data_ptr<float>();
  Rng rng(seed ^ kRouterSeed, stream);
  for (std::int64_t i = 0; i < rows * columns; ++i)
    data[i] = static_cast<float>(kRouterStd * rng.Normal());
  return values;
}

tensor::Tensor ToOurs(const at::Tensor& values) {
  const at::Tensor copy = values.detach().to(at::kCPU, at::kFloat).contiguous();
  tensor::Tensor out = tensor::Tensor::Uninitialised(tensor::DType::kF32, copy.sizes().vec());
  std::memcpy(out.bytes().data(), copy.data_ptr(), out.bytes().size());
  return out;
}

at::Tensor FromOurs(const tensor::Tensor& values, at::ScalarType real, at::Device device) {
  const at::Tensor copy = at::empty(values.shape(), at::kFloat);
  std::memcpy(copy.data_ptr(), values.bytes().data(), values.bytes().size());
  return copy.to(real).to(device);
}

Error Invalid(std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message));
}

const char* ByName(model::RouteBy by) {
  return by == model::RouteBy::kToken ? "token" : "sequence";
}

}  // namespace

model::MoeSpec MixtureSet::Choice() const {
  model::MoeSpec moe;
  moe.experts = static_cast<std::int64_t>(experts_.size());
  moe.top_k = choice_.top_k;
  moe.score = choice_.score;
  moe.normalise_top_k = choice_.normalise_top_k;
  return moe;
}

std::size_t MixtureSet::RouterOf(const std::string& linear) const {
  for (std::size_t r = 0; r < routers_.size(); ++r)
    if (std::ranges::find(routers_[r].linears, linear) != routers_[r].linears.end()) return r;
  return kNone;
}

at::Tensor MixtureSet::Scores(std::size_t router, const at::Tensor& x) const {
  const MixtureRouter& r = routers_[router];
  return at::addmm(r.bias, x.to(r.weight.scalar_type()), r.weight.t());
}

Status MixtureSet::AddExpert(const model::ModelSpec& spec, const std::string& name,
                             const std::string& folder, at::ScalarType real, at::Device device) {
  if (std::ranges::find(names_, name) != names_.end())
    return Invalid(
        fmt::format("router: two experts are called '{}', expected different names; give one "
                    "another",
                    name));
  METIER_ASSIGN(LoraSet expert, LoraSet::Load(spec, folder, real, device));
  if (!expert.saved().empty() || !expert.rows().empty()) {
    return Invalid(fmt::format(
        "router: expert '{}' has an embedding or a head of its own, or rows of them; expected "
        "an adapter of linears alone",
        name));
  }
  if (expert.dora()) {
    return Invalid(
        fmt::format("router: expert '{}' uses DoRA, whose outputs are scaled, not added "
                    "to; expected a plain LoRA",
                    name));
  }
  names_.push_back(name);
  experts_.push_back(std::move(expert));
  return Ok();
}

// Routers for what the experts change.
Status MixtureSet::AddRouters(const model::ModelSpec& spec, const std::string& routers,
                              std::uint64_t seed, at::ScalarType real, at::Device device) {
  const auto changed = [&](const std::string& linear) {
    return std::ranges::any_of(
        experts_, [&](const LoraSet& expert) { return expert.Find(linear) != nullptr; });
  };
  const auto add = [&](const std::string& reads, std::vector<std::string> linears,
                       std::int64_t in) {
    if (linears.empty()) return;
    MixtureRouter router;
    router.reads = reads;
    router.linears = std::move(linears);
    const auto count = static_cast<std::int64_t>(experts_.size());
    router.weight = SmallRandom(count, in, seed, routers_.size()).to(real).to(device);
    router.bias = at::zeros({count}, router.weight.options());
    routers_.push_back(std::move(router));
  };
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    const std::string prefix = fmt::format("layers.{}.", layer);
    std::vector<std::string> all;
    for (const Stage& stage : kStages) {
      std::vector<std::string> linears;
      for (const std::string_view linear : stage.linears) {
        const std::string name = prefix + std::string(linear);
        if (!linear.empty() && changed(name)) linears.push_back(name);
      }
      all.insert(all.end(), linears.begin(), linears.end());
      if (routers == "layer") continue;
      std::int64_t in = spec.width;
      if (stage.reads == "attn.o") in = spec.q_width();
      if (stage.reads == "ffn.down") in = spec.hidden;
      add(prefix + std::string(stage.reads), std::move(linears), in);
    }
    if (routers == "layer") add(prefix + "attn.q", std::move(all), spec.width);
  }
  return Ok();
}

// Rows for experts that came after the routers were made.
void MixtureSet::GrowRouters(std::uint64_t seed) {
  const auto count = static_cast<std::int64_t>(experts_.size());
  for (std::size_t r = 0; r < routers_.size(); ++r) {
    MixtureRouter& router = routers_[r];
    const std::int64_t more = count - router.weight.size(0);
    if (more == 0) continue;
    const at::Tensor rows = SmallRandom(more, router.weight.size(1), seed, r);
    router.weight = at::cat({router.weight, rows.to(router.weight.options())});
    router.bias = at::cat({router.bias, at::zeros({more}, router.bias.options())});
  }
}

Status MixtureSet::Check() const {
  const auto count = static_cast<std::int64_t>(experts_.size());
  if (count < choice_.top_k) {
    return Invalid(
        fmt::format("router: a token goes to {} experts, but there are {}; lower top_k, or "
                    "name more",
                    choice_.top_k, count));
  }
  for (std::size_t e = 0; e < experts_.size(); ++e) {
    for (const LoraModule& module : experts_[e].modules()) {
      const std::size_t router = RouterOf(module.module.parts.front().linear);
      for (const auto& part : module.module.parts) {
        if (RouterOf(part.linear) == router && router != kNone) continue;
        return Invalid(
            fmt::format("router: expert '{}' changes '{}', which {}", names_[e], module.module.path,
                        router == kNone ? "no router routes: expected linears of attention and of "
                                          "dense feed-forwards"
                                        : "two routers route: expected one for a module"));
      }
    }
  }
  return Ok();
}

void MixtureSet::SetLearning(Learns learns) {
  learns_ = learns;
  for (const LoraSet& expert : experts_) {
    for (const LoraModule& module : expert.modules()) {
      module.a.requires_grad_(learns == Learns::kAll);
      module.b.requires_grad_(learns == Learns::kAll);
    }
  }
  for (const MixtureRouter& router : routers_) {
    router.weight.requires_grad_(learns != Learns::kNothing);
    router.bias.requires_grad_(learns != Learns::kNothing);
  }
}

Result<MixtureSet> MixtureSet::Create(const model::ModelSpec& spec,
                                      const recipe::RouterConfig& config, std::uint64_t seed,
                                      at::ScalarType real, at::Device device) {
  const auto by = config.route_by == "token" ? model::RouteBy::kToken : model::RouteBy::kSequence;
  MixtureSet set;
  if (!config.mixture.empty()) {
    METIER_ASSIGN(set, Load(spec, config.mixture, Learns::kNothing, real, device));
    if (set.by() != by) {
      return Invalid(fmt::format("router: mixture '{}' routes by {}, route_by is {}",
                                 config.mixture, ByName(set.by()), config.route_by));
    }
  }
  set.choice_.by = by;
  set.choice_.top_k = config.top_k;
  // An expert that a sequence has to itself answers as it does alone.
  set.choice_.score = by == model::RouteBy::kToken ? model::RouterScore::kSoftmaxThenTopK
                                                   : model::RouterScore::kTopKThenSoftmax;
  set.choice_.normalise_top_k = config.norm_topk_prob;
  for (const recipe::RoutedExpert& expert : config.experts)
    METIER_TRY(set.AddExpert(spec, expert.name, expert.adapter, real, device));
  if (set.routers_.empty()) {
    METIER_TRY(set.AddRouters(spec, config.routers, seed, real, device));
  } else {
    set.GrowRouters(seed);
  }
  METIER_TRY(set.Check());
  set.SetLearning(config.train_experts ? Learns::kAll : Learns::kRouters);
  return set;
}

Result<MixtureSet> MixtureSet::Load(const model::ModelSpec& spec, const std::string& folder,
                                    Learns learns, at::ScalarType real, at::Device device) {
  METIER_ASSIGN(model::MixtureFiles files, model::OpenMixture(folder));
  MixtureSet set;
  for (std::size_t e = 0; e < files.experts.size(); ++e)
    METIER_TRY(set.AddExpert(spec, files.experts[e], files.AdapterPath(e), real, device));
  for (const model::AdapterRouter& stored : files.mixture.routers) {
    MixtureRouter router;
    router.reads = stored.reads;
    router.linears = stored.linears;
    router.weight = FromOurs(stored.weight, real, device);
    router.bias = stored.bias ? FromOurs(*stored.bias, real, device)
                              : at::zeros({router.weight.size(0)}, router.weight.options());
    set.routers_.push_back(std::move(router));
  }
  set.choice_ = std::move(files.mixture);
  set.choice_.routers.clear();
  METIER_TRY(set.Check());
  set.SetLearning(learns);
  return set;
}

Status MixtureSet::Save(const std::string& folder, const std::string& base_model) const {
  for (std::size_t e = 0; e < experts_.size(); ++e)
    METIER_TRY(experts_[e].Save(folder + "/experts/" + names_[e], base_model));
  model::AdapterMixture mixture = choice_;
  for (const MixtureRouter& router : routers_)
    mixture.routers.push_back(
        {router.reads, router.linears, ToOurs(router.weight), ToOurs(router.bias)});
  return model::WriteMixture(folder, mixture, names_, base_model);
}

FusedMixture FuseMixture(const MixtureSet& mixture, const std::vector<LinearPart>& parts) {
  FusedMixture fused;
  std::vector<at::Tensor> as;
  std::vector<at::Tensor> bs;
  for (std::size_t e = 0; e < mixture.experts().size(); ++e) {
    const LoraSet& expert = mixture.experts()[e];
    const FusedLora lora = FuseLora(expert, parts);
    if (!lora.a.defined()) continue;
    as.push_back(lora.a);
    bs.push_back(lora.b);
    for (const std::size_t module : lora.modules) {
      const LoraModule& adapter = expert.modules()[module];
      fused.segments.push_back({mixture.RouterOf(adapter.module.parts.front().linear),
                                static_cast<std::int64_t>(e), adapter.a.size(0), module});
    }
  }
  if (as.empty()) return fused;
  fused.a = as.size() == 1 ? as.front() : at::cat(as, 0);
  fused.b = bs.size() == 1 ? bs.front() : at::cat(bs, 1);
  return fused;
}

}  // namespace metier::train

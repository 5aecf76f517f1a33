#include "train/hypernetwork.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/rng.h"
#include "format/safetensors.h"
#include "train/batch.h"

namespace metier::train {
namespace {

constexpr std::uint64_t kHyperSeed = 0x68797065726e65ULL;  // apart from the adapters' streams
constexpr double kLayerNormEpsilon = 1e-5;
// Of what is not there in all tasks alike, so that nothing is divided by 0.
constexpr double kLeastDeviation = 1e-6;
constexpr std::size_t kUniform = 0;  // how a weight begins
constexpr std::size_t kNormal = 1;

void FillRandom(const at::Tensor& tensor, std::size_t how, std::uint64_t seed,
                std::uint64_t stream) {
  const at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
  auto* data = values.data_ptr<float>();
  Rng rng(seed ^ kHyperSeed, stream);
  const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    const double drawn = how == kNormal ? rng.Normal() : (2 * rng.Uniform() - 1) * bound;
    data[i] = static_cast<float>(drawn);
  }
  tensor.copy_(values);
}

// "model.layers.12.self_attn.q_proj" -> 12 and the same with * in its place. Only the first number
// is the layer's: an expert's number is part of what the module is.
struct Place {
  std::string kind;
  std::int64_t depth = 0;
};
Place PlaceOf(const std::string& path) {
  Place place;
  bool found = false;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string word = path.substr(begin, end - begin);
    const bool number =
        !word.empty() && word.size() < 10 && word.find_first_not_of("0123456789") == word.npos;
    if (!place.kind.empty()) place.kind += '.';
    place.kind += number && !found ? "*" : word;
    if (number && !found) place.depth = std::stoll(word);
    found = found || number;
    begin = end + 1;
  }
  return place;
}

at::Tensor Normalised(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, kLayerNormEpsilon);
}

recipe::LoraConfig LoraOf(const model::HyperFiles& config) {
  recipe::LoraConfig lora;
  lora.rank = config.rank;
  lora.alpha = config.alpha;
  lora.target_modules = config.target_modules;
  return lora;
}

// Sums and products of sizes; nothing once one did not fit.
class SizeSum {
 public:
  void Add(std::initializer_list<std::int64_t> sizes) {
    std::optional<std::uint64_t> product = 1;
    for (const std::int64_t size : sizes)
      if (product) product = CheckedMul(*product, static_cast<std::uint64_t>(size));
    sum_ = sum_ && product ? CheckedAdd(*sum_, *product) : std::nullopt;
  }
  std::optional<std::uint64_t> sum() const { return sum_; }

 private:
  std::optional<std::uint64_t> sum_ = 0;
};

}  // namespace

Status Hypernetwork::FindKinds(const model::ModelSpec& spec) {
  format::PeftConfig targets;
  if (config_.target_modules == std::vector<std::string>{"all-linear"}) {
    targets.target_pattern = "all-linear";
  } else {
    targets.target_modules = config_.target_modules;
  }
  METIER_ASSIGN(const std::vector<model::LinearModule> modules,
                model::SelectModules(spec, targets));
  for (std::size_t m = 0; m < modules.size(); ++m) {
    const Place place = PlaceOf(modules[m].path);
    const auto alike = [&](const Kind& kind) {
      return kind.path == place.kind && kind.in == modules[m].in && kind.out == modules[m].out;
    };
    auto kind = std::ranges::find_if(kinds_, alike);
    if (kind == kinds_.end()) {
      // Layers may have modules of one name and several shapes: routers to more or fewer experts.
      const bool taken = std::ranges::find(kinds_, place.kind, &Kind::path) != kinds_.end();
      kinds_.emplace_back();
      kind = kinds_.end() - 1;
      kind->path = place.kind;
      kind->name =
          taken ? fmt::format("{}.{}x{}", place.kind, modules[m].out, modules[m].in) : place.kind;
      kind->in = modules[m].in;
      kind->out = modules[m].out;
    }
    if (place.depth >= spec.layers) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("hypernetwork: '{}' stands in none of the model's {} layers",
                               modules[m].path, spec.layers));
    }
    kind->modules.push_back(m);
    kind->depths.push_back(place.depth);
  }
  return Ok();
}

// Of everything that is saved.
Result<std::uint64_t> Hypernetwork::Numbers(const model::ModelSpec& spec,
                                            const Limits& limits) const {
  const std::int64_t d = config_.latent_size;
  const auto kinds = static_cast<std::int64_t>(kinds_.size());
  SizeSum count;
  count.Add({d / 2, 2, spec.width});                  // the description's linear,
  count.Add({3, d / 2});                              // its bias and its norm,
  count.Add({spec.layers + kinds, d / 4});            // tables,
  count.Add({config_.blocks, d, 8 * d + 4 + 1 + 2});  // blocks with biases and norms,
  count.Add({2, spec.width + 1});                     // what standardises,
  count.Add({kinds, 2});                              // units
  for (const Kind& kind : kinds_) {
    const auto modules = static_cast<std::int64_t>(kind.modules.size());
    count.Add({config_.rank, kind.in + kind.out, d + modules});
  }
  const std::optional<std::uint64_t> sum = count.sum();
  if (sum && *sum <= limits.max_tensor_elements) return *sum;
  return Error(ErrorCode::kResourceExhausted,
               fmt::format("hypernetwork: latent_size {}, {} blocks and rank {} over {} kinds of "
                           "modules make {} numbers, the limit is {}; lower one of them",
                           d, config_.blocks, config_.rank, kinds,
                           sum ? fmt::format("{}", *sum) : std::string("too many"),
                           limits.max_tensor_elements));
}

at::Tensor Hypernetwork::Add(const std::string& name, at::IntArrayRef shape, bool decays) {
  const at::Tensor value = at::zeros(shape, options_);
  trainables_.push_back({name, value, at::Tensor(), decays});
  return value;
}

Hypernetwork::Linear Hypernetwork::AddLinear(const std::string& name, std::int64_t in,
                                             std::int64_t out) {
  const at::Tensor weight = Add(name + ".weight", {out, in}, true);
  return {weight, Add(name + ".bias", {out}, false)};
}

Hypernetwork::Linear Hypernetwork::AddNorm(const std::string& name, std::int64_t width) {
  const at::Tensor weight = Add(name + ".weight", {width}, false);
  weight.fill_(1);
  return {weight, Add(name + ".bias", {width}, false)};
}

Status Hypernetwork::Build(const model::ModelSpec& spec, std::uint64_t seed, at::ScalarType real,
                           at::Device device) {
  METIER_ASSIGN(template_, LoraSet::Create(spec, LoraOf(config_), seed, real, device));
  options_ = at::TensorOptions().dtype(real).device(device);
  const std::int64_t d = config_.latent_size;
  task_ = AddLinear("task", 2 * spec.width, d / 2);
  task_norm_ = AddNorm("task_norm", d / 2);
  depth_ = Add("depth.weight", {spec.layers, d / 4}, false);
  kind_ = Add("kind.weight", {static_cast<std::int64_t>(kinds_.size()), d / 4}, false);
  for (std::int64_t i = 0; i < config_.blocks; ++i) {
    const std::string name = fmt::format("blocks.{}.", i);
    Block block;
    block.norm = AddNorm(name + "norm", d);
    block.up = AddLinear(name + "up", d, 4 * d);
    block.down = AddLinear(name + "down", 4 * d, d);
    blocks_.push_back(std::move(block));
  }
  std::vector<std::int64_t> depths;
  std::vector<std::int64_t> kinds;
  for (Kind& kind : kinds_) {
    const auto count = static_cast<std::int64_t>(kind.modules.size());
    kind.head_a = Add("heads." + kind.name + ".A", {config_.rank * kind.in, d}, true);
    kind.head_b = Add("heads." + kind.name + ".B", {kind.out * config_.rank, d}, true);
    kind.a0 = Add("common." + kind.name + ".A", {count, config_.rank, kind.in}, true);
    kind.b0 = Add("common." + kind.name + ".B", {count, kind.out, config_.rank}, true);
    depths.insert(depths.end(), kind.depths.begin(), kind.depths.end());
    kinds.insert(kinds.end(), kind.modules.size(), &kind - kinds_.data());
  }
  depth_rows_ = torch::tensor(depths, at::kLong).to(device);
  kind_rows_ = torch::tensor(kinds, at::kLong).to(device);
  mean_ = at::zeros({2 * spec.width}, options_);
  deviation_ = at::ones({2}, options_);
  units_ = at::full({static_cast<std::int64_t>(kinds_.size()), 2}, 1.0 / static_cast<double>(d),
                    options_);
  return Ok();
}

void Hypernetwork::Begin(std::uint64_t seed) {
  std::uint64_t stream = 0;
  for (const Trainable& trainable : trainables_) {
    ++stream;
    if (trainable.name.starts_with("heads.") || trainable.name.starts_with("common.")) continue;
    const bool table = trainable.name == "depth.weight" || trainable.name == "kind.weight";
    if (trainable.value.dim() == 2)
      FillRandom(trainable.value, table ? kNormal : kUniform, seed, stream);
  }
  for (const Kind& kind : kinds_) {
    for (std::size_t i = 0; i < kind.modules.size(); ++i)
      kind.a0[static_cast<std::int64_t>(i)].copy_(template_.modules()[kind.modules[i]].a);
  }
}

Result<Hypernetwork> Hypernetwork::Create(const model::ModelSpec& spec,
                                          const recipe::HyperConfig& config, std::uint64_t seed,
                                          at::ScalarType real, at::Device device,
                                          const Limits& limits) {
  const torch::NoGradGuard no_grad;
  model::HyperFiles shape;
  shape.rank = config.rank;
  shape.alpha = config.alpha;
  shape.target_modules = config.target_modules;
  shape.latent_size = config.latent_size;
  shape.blocks = config.blocks;
  Hypernetwork made(shape);
  METIER_TRY(made.FindKinds(spec));
  METIER_TRY(made.Numbers(spec, limits));
  METIER_TRY(made.Build(spec, seed, real, device));
  made.Begin(seed);
  for (const Trainable& trainable : made.trainables_) trainable.value.requires_grad_(true);
  return made;
}

Result<Hypernetwork> Hypernetwork::Load(const model::ModelSpec& spec, const std::string& folder,
                                        at::ScalarType real, at::Device device,
                                        const Limits& limits) {
  const torch::NoGradGuard no_grad;
  METIER_ASSIGN(const model::HyperFiles config, model::OpenHyper(folder, limits));
  Hypernetwork made(config);
  METIER_TRY(made.FindKinds(spec));
  METIER_ASSIGN(const std::uint64_t wanted, made.Numbers(spec, limits));
  const std::string path = model::HyperTensors(folder);
  std::uint64_t found = 0;
  {
    METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(path, limits));
    for (const std::string& name : file.Names()) found += file.Find(name)->bytes.size();
  }
  if (found != wanted * sizeof(float)) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("hypernetwork '{}': found {} bytes of weights, expected {} by its "
                             "hyper_config.json and this model; was it trained on another?",
                             path, found, wanted * sizeof(float)));
  }
  METIER_TRY(made.Build(spec, 0, real, device));
  METIER_TRY(LoadTensors(path, made.Tensors(), "hypernetwork"));
  for (const Trainable& trainable : made.trainables_) trainable.value.requires_grad_(true);
  return made;
}

std::vector<NamedTensor> Hypernetwork::Tensors() const {
  std::vector<NamedTensor> tensors;
  for (const Trainable& trainable : trainables_)
    tensors.push_back({trainable.name, trainable.value.detach()});
  tensors.push_back({"description.mean", mean_});
  tensors.push_back({"description.deviation", deviation_});
  tensors.push_back({"units", units_});
  return tensors;
}

Status Hypernetwork::Save(const std::string& folder, const std::string& base_model,
                          const std::string& base_hash, bool bf16) const {
  METIER_TRY(SaveTensors(model::HyperTensors(folder), Tensors(), "metier-hyper"));
  model::HyperFiles config = config_;
  config.base_model = base_model;
  config.base_hash = base_hash;
  config.bf16 = bf16;
  return model::WriteHyper(folder, config);
}

void Hypernetwork::Standardise(const at::Tensor& descriptions) {
  const torch::NoGradGuard no_grad;
  const at::Tensor wide = descriptions.to(at::kDouble);
  const at::Tensor mean = wide.mean(0);
  mean_.copy_(mean);
  const at::Tensor apart = (wide - mean).view({descriptions.size(0), 2, -1});
  deviation_.copy_(apart.square().mean(0).mean(1).sqrt().clamp_min(kLeastDeviation));
}

void Hypernetwork::BeginAt(const std::vector<std::vector<LoraSet::Factors>>& adapters) {
  const torch::NoGradGuard no_grad;
  // Of one factor of one kind: where it begins, and its deviation.
  const auto take = [&](const Kind& kind, auto&& factor, const at::Tensor& common) {
    double squares = 0;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < kind.modules.size(); ++i) {
      std::vector<at::Tensor> all;
      for (const auto& adapter : adapters)
        all.push_back(factor(adapter[kind.modules[i]]).detach().to(at::kDouble));
      const at::Tensor stacked = at::stack(all);
      const at::Tensor mean = stacked.mean(0);
      common[static_cast<std::int64_t>(i)].copy_(mean);
      squares += (stacked - mean).square().sum().template item<double>();
      count += stacked.numel();
    }
    const double deviation = std::sqrt(squares / static_cast<double>(count));
    return std::max(deviation, kLeastDeviation) /
           std::sqrt(static_cast<double>(config_.latent_size));
  };
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    const Kind& kind = kinds_[k];
    const at::Tensor units = units_[static_cast<std::int64_t>(k)];
    units[0].fill_(take(
        kind, [](const LoraSet::Factors& factors) { return factors.a; }, kind.a0.detach()));
    units[1].fill_(take(
        kind, [](const LoraSet::Factors& factors) { return factors.b; }, kind.b0.detach()));
  }
}

std::vector<LoraSet::Factors> Hypernetwork::Write(const at::Tensor& descriptions) const {
  const std::int64_t n = descriptions.size(0);
  const std::int64_t rows = depth_rows_.size(0);
  const std::int64_t d = config_.latent_size;
  const at::Tensor apart = (descriptions - mean_).view({n, 2, -1});
  const at::Tensor standard = (apart / deviation_.unsqueeze(1)).view_as(descriptions);
  const at::Tensor task = Normalised(at::linear(standard, task_.weight, task_.bias),
                                     task_norm_.weight, task_norm_.bias);
  const at::Tensor place =
      at::cat({GatherRows(depth_, depth_rows_), GatherRows(kind_, kind_rows_)}, 1);
  at::Tensor z = at::cat({task.unsqueeze(1).expand({n, rows, d / 2}),
                          place.unsqueeze(0).expand({n, rows, d / 2})},
                         2)
                     .reshape({n * rows, d});
  for (const Block& block : blocks_) {
    const at::Tensor in = Normalised(z, block.norm.weight, block.norm.bias);
    const at::Tensor wide = at::silu(at::linear(in, block.up.weight, block.up.bias));
    z = z + at::silu(at::linear(wide, block.down.weight, block.down.bias));
  }
  z = z.view({n, rows, d});
  std::vector<LoraSet::Factors> factors(modules().size());
  std::int64_t first = 0;
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    const Kind& kind = kinds_[k];
    const auto count = static_cast<std::int64_t>(kind.modules.size());
    const at::Tensor own = z.narrow(1, first, count);
    const at::Tensor units = units_[static_cast<std::int64_t>(k)];
    const at::Tensor a =
        kind.a0 + units[0] * at::linear(own, kind.head_a).view({n, count, config_.rank, kind.in});
    const at::Tensor b =
        kind.b0 + units[1] * at::linear(own, kind.head_b).view({n, count, kind.out, config_.rank});
    for (std::size_t i = 0; i < kind.modules.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      factors[kind.modules[i]] = {a.select(1, at), b.select(1, at)};
    }
    first += count;
  }
  return factors;
}

LoraSet Hypernetwork::AdapterFor(const at::Tensor& description) const {
  std::vector<LoraSet::Factors> factors = Write(description.unsqueeze(0));
  for (LoraSet::Factors& of_module : factors)
    of_module = {of_module.a.squeeze(0), of_module.b.squeeze(0)};
  return template_.With(factors);
}

LoraSet::Factors Hypernetwork::DeviationsOf(std::size_t module) const {
  const double root = std::sqrt(static_cast<double>(config_.latent_size));
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    if (std::ranges::find(kinds_[k].modules, module) == kinds_[k].modules.end()) continue;
    const at::Tensor units = units_[static_cast<std::int64_t>(k)];
    return {units[0] * root, units[1] * root};
  }
  METIER_CHECK(false, "every module has a kind");
  return {};
}

Result<at::Tensor> ReadDescription(const Network& base, const std::vector<std::int64_t>& ids) {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  if (tokens == 0 || tokens > base.longest()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("a description has {} tokens, expected 1 to {}", tokens, base.longest()));
  }
  for (const std::int64_t id : ids) {
    if (id >= 0 && id < base.spec().vocab) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("a description has token {}, the model's vocabulary has {}", id,
                             base.spec().vocab));
  }
  const torch::NoGradGuard no_grad;
  const Batch batch = MakeBatch({{ids.begin(), ids.end()}}, {}, base.options().device);
  const at::ScalarType real = base.options().precision.real;
  return at::cat({base.Embed(batch).to(real).mean(0), base.Hidden(batch).to(real).mean(0)});
}

}  // namespace metier::train

#include "merge/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/nearest.h"
#include "format/decode.h"
#include "merge/compatible.h"
#include "merge/methods.h"
#include "model/family.h"

namespace metier::merge {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr std::string_view kLayers = "layers.";

Error WrongPlan(std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message));
}

// The setting of the narrowest place that has one for this tensor.
std::optional<double> FirstOf(std::initializer_list<const Setting*> settings,
                              const std::string& tensor, double position) {
  for (const Setting* setting : settings) {
    if (const auto value = setting->At(tensor, position)) return value;
  }
  return std::nullopt;
}

void AddFilters(const Settings& settings, std::set<std::string>& filters) {
  for (const Setting* setting : {&settings.weight, &settings.density, &settings.scale, &settings.t,
                                 &settings.lambda, &settings.normalize}) {
    for (std::string& filter : setting->Filters()) filters.insert(std::move(filter));
  }
}

// "model.layers.0.mlp.up_proj.weight" -> its parts, numbers left out.
void AddParts(std::string_view name, std::set<std::string>& parts) {
  while (!name.empty()) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, dot);
    if (!part.empty() && part.find_first_not_of("0123456789") != std::string_view::npos)
      parts.emplace(part);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
}

bool NormalizesUnlessTold(Method method) {
  return method == Method::kLinear || method == Method::kTies;
}

DType TypeNamed(const std::string& dtype, DType otherwise) {
  if (dtype == "float32") return DType::kF32;
  if (dtype == "float16") return DType::kF16;
  if (dtype == "bfloat16") return DType::kBF16;
  return otherwise;
}

}  // namespace

Result<MergePlan> MergePlan::Create(const MergeConfig& config, SourceModels models) {
  MergePlan plan;
  plan.config_ = config;
  plan.models_ = std::move(models);
  const std::vector<std::string> names = config.Models();
  METIER_ASSIGN(plan.notes_, CheckCompatible(names, plan.models_, config.tokenizer_source));
  const SourceModel& first = plan.Model(names.front());
  plan.spec_ = first.spec;
  plan.dtype_ = TypeNamed(config.dtype, first.dtype);
  for (const std::string& name : names)
    plan.spec_.tied_head = plan.spec_.tied_head && plan.Model(name).spec.tied_head;
  METIER_TRY(plan.CheckSlices());
  METIER_TRY(model::Validate(plan.spec_));
  METIER_TRY(plan.PlaceTensors());
  METIER_TRY(plan.CheckFilters());
  METIER_TRY(plan.CheckNumbers());
  return plan;
}

const SourceModel& MergePlan::Model(const std::string& name) const {
  const auto found = models_.find(name);
  METIER_CHECK(found != models_.end(), "a model that was opened");
  return found->second;
}

// Resolves "all layers" and stacks the descriptions of the layers.
Status MergePlan::CheckSlices() {
  spec_.layer.clear();
  for (Slice& slice : config_.slices) {
    for (Source& source : slice.sources) {
      const std::int64_t layers = Model(source.model).spec.layers;
      if (source.end < 0) source.end = layers;
      if (source.end <= layers) continue;
      return WrongPlan(fmt::format("layer_range [{}, {}] of '{}': it has {} layers", source.first,
                                   source.end, source.model, layers));
    }
    const Source& reference = slice.sources.front();
    const std::int64_t count = reference.end - reference.first;
    for (const Source& source : slice.sources) {
      if (source.end - source.first == count) continue;
      return WrongPlan(
          fmt::format("'{}' has {} layers and '{}' {}; write `slices` to merge some of "
                      "them",
                      reference.model, count, source.model, source.end - source.first));
    }
    if (config_.uses_base()) {
      const std::int64_t base_first = BaseFirst(slice);
      const std::int64_t base_layers = Model(config_.base_model).spec.layers;
      if (base_first < 0 || base_first + count > base_layers) {
        return WrongPlan(
            fmt::format("the layers of '{}' that changes are against are not clear: "
                        "name it among the `sources` of every slice, or give all of "
                        "them the same layer_range, below {}",
                        config_.base_model, base_layers));
      }
    }
    for (std::int64_t n = 0; n < count; ++n) {
      const auto layer_of = [&](const Source& source) {
        return Model(source.model).spec.layer[static_cast<std::size_t>(source.first + n)];
      };
      for (const Source& source : slice.sources) {
        if (layer_of(source) == layer_of(reference)) continue;
        return WrongPlan(
            fmt::format("layer {} of '{}' and layer {} of '{}' see the past in another "
                        "way: window or positions differ",
                        reference.first + n, reference.model, source.first + n, source.model));
      }
      spec_.layer.push_back(layer_of(reference));
    }
  }
  spec_.layers = static_cast<std::int64_t>(spec_.layer.size());
  return Ok();
}

// The base's first layer in a slice: where it is named, else where all others begin. -1: unclear.
std::int64_t MergePlan::BaseFirst(const Slice& slice) const {
  for (const Source& source : slice.sources) {
    if (source.model == config_.base_model) return source.first;
  }
  for (const Source& source : slice.sources) {
    if (source.first != slice.sources.front().first) return -1;
  }
  return slice.sources.front().first;
}

Status MergePlan::PlaceTensors() {
  std::vector<std::pair<std::size_t, std::int64_t>> layers;  // slice, layer within it
  for (std::size_t s = 0; s < config_.slices.size(); ++s) {
    const Source& source = config_.slices[s].sources.front();
    for (std::int64_t n = 0; n < source.end - source.first; ++n) layers.emplace_back(s, n);
  }
  const std::vector<std::string> hf_names = model::HuggingFaceNames(spec_);
  const std::vector<model::Parameter> parameters = model::Parameters(spec_);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    Place place{.name = name, .hf_name = hf_names[i], .shape = parameters[i].shape, .rest = name};
    if (name.starts_with(kLayers)) {
      const std::size_t dot = name.find('.', kLayers.size());
      const auto index =
          static_cast<std::size_t>(std::stoll(name.substr(kLayers.size(), dot - kLayers.size())));
      std::tie(place.slice, place.layer) = layers[index];
      const Source& source = config_.slices[place.slice].sources.front();
      const auto last = static_cast<double>(source.end - source.first - 1);
      place.position = last > 0 ? static_cast<double>(place.layer) / last : 1;
      place.rest = name.substr(dot + 1);
    } else if (!name.starts_with("embed.")) {
      place.slice = config_.slices.size() - 1;
      place.position = 1;
    }
    places_.emplace(name, std::move(place));
  }
  return Ok();
}

Status MergePlan::CheckFilters() const {
  std::set<std::string> filters;
  AddFilters(config_.settings, filters);
  for (const Slice& slice : config_.slices) {
    AddFilters(slice.settings, filters);
    for (const Source& source : slice.sources) AddFilters(source.settings, filters);
  }
  for (const std::string& filter : filters) {
    const bool found = std::any_of(places_.begin(), places_.end(), [&filter](const auto& entry) {
      return entry.second.hf_name.find(filter) != std::string::npos;
    });
    if (found) continue;
    std::set<std::string> parts;
    for (const auto& [name, place] : places_) AddParts(place.hf_name, parts);
    const std::vector<std::string> known(parts.begin(), parts.end());
    const std::string nearest = NearestName(filter, known);
    return WrongPlan(
        fmt::format("filter '{}' is in no tensor's name{}; names are made of {}", filter,
                    nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
                    fmt::join(known, ", ")));
  }
  return Ok();
}

Status MergePlan::CheckNumbers() const {
  for (const auto& [name, place] : places_) {
    if (config_.method == Method::kSlerp) {
      METIER_TRY(SlerpPosition(place));
      continue;
    }
    for (const Source& source : config_.slices[place.slice].sources) {
      const bool base = config_.uses_base() && source.model == config_.base_model;
      if (!base) METIER_TRY(NumbersOf(place, source));
    }
  }
  return Ok();
}

Result<MergePlan::Numbers> MergePlan::NumbersOf(const Place& place, const Source& source) const {
  const Settings& slice = config_.slices[place.slice].settings;
  const Settings& all = config_.settings;
  const auto find = [&](Setting Settings::*which) {
    return FirstOf({&(source.settings.*which), &(slice.*which), &(all.*which)}, place.hf_name,
                   place.position);
  };
  Numbers numbers;
  if (config_.method == Method::kPassthrough) {
    numbers.scale = find(&Settings::scale).value_or(1);
    return numbers;
  }
  const auto weight = find(&Settings::weight);
  if (!weight) {
    return WrongPlan(
        fmt::format("no weight is given for '{}' of '{}': write parameters: {{weight: "
                    "...}} under the model, or a value without a filter",
                    place.hf_name, source.model));
  }
  numbers.weight = *weight;
  numbers.density = find(&Settings::density).value_or(1);
  return numbers;
}

Result<double> MergePlan::SlerpPosition(const Place& place) const {
  const auto t = FirstOf({&config_.slices[place.slice].settings.t, &config_.settings.t},
                         place.hf_name, place.position);
  if (t) return *t;
  return WrongPlan(
      fmt::format("no t is given for '{}': write parameters: {{t: ...}} for the merge, "
                  "or a value without a filter",
                  place.hf_name));
}

Result<Tensor> MergePlan::Load(const Place& place, const std::string& model,
                               std::int64_t first) const {
  const SourceModel& source = Model(model);
  std::string name = place.rest;
  if (place.layer >= 0) name = fmt::format("layers.{}.{}", first + place.layer, place.rest);
  if (name == "head.weight" && source.spec.tied_head) name = "embed.tokens";
  auto loaded = source.read(name);
  if (!loaded.ok()) return std::move(loaded).error().With(fmt::format("'{}'", model));
  METIER_CHECK(loaded->shape() == place.shape, "a parameter of the same network");
  return loaded;
}

Result<Tensor> MergePlan::ReadLinear(const Place& place, ThreadPool& pool) const {
  const Slice& slice = config_.slices[place.slice];
  std::vector<Tensor> loaded;
  std::vector<Input> inputs;
  for (const Source& source : slice.sources) {
    METIER_ASSIGN(Tensor values, Load(place, source.model, source.first));
    METIER_ASSIGN(const Numbers numbers, NumbersOf(place, source));
    loaded.push_back(std::move(values));
    inputs.push_back({.values = std::as_const(loaded.back()).f32(), .weight = numbers.weight});
  }
  const double normalize = FirstOf({&slice.settings.normalize, &config_.settings.normalize},
                                   place.hf_name, place.position)
                               .value_or(NormalizesUnlessTold(config_.method) ? 1 : 0);
  Tensor out = Tensor::Uninitialised(DType::kF32, place.shape);
  MergeLinear(inputs, normalize != 0 ? Normalize::kYes : Normalize::kNo, pool, out.f32());
  return out;
}

Result<Tensor> MergePlan::ReadSlerp(const Place& place, ThreadPool& pool) const {
  const std::vector<Source>& sources = config_.slices[place.slice].sources;
  const bool swapped =
      sources[1].model == config_.base_model && sources[0].model != sources[1].model;
  const Source& from = sources[swapped ? 1 : 0];
  const Source& to = sources[swapped ? 0 : 1];
  METIER_ASSIGN(const double t, SlerpPosition(place));
  METIER_ASSIGN(const Tensor a, Load(place, from.model, from.first));
  METIER_ASSIGN(const Tensor b, Load(place, to.model, to.first));
  Tensor out = Tensor::Uninitialised(DType::kF32, place.shape);
  MergeSlerp(a.f32(), b.f32(), t, pool, out.f32());
  return out;
}

Result<Tensor> MergePlan::ReadDeltas(const Place& place, ThreadPool& pool) const {
  const Slice& slice = config_.slices[place.slice];
  METIER_ASSIGN(const Tensor base, Load(place, config_.base_model, BaseFirst(slice)));
  std::vector<Tensor> loaded;
  std::vector<Input> inputs;
  for (const Source& source : slice.sources) {
    if (source.model == config_.base_model) continue;  // it changed nothing
    METIER_ASSIGN(Tensor values, Load(place, source.model, source.first));
    METIER_ASSIGN(const Numbers numbers, NumbersOf(place, source));
    loaded.push_back(std::move(values));
    inputs.push_back({.values = std::as_const(loaded.back()).f32(),
                      .weight = numbers.weight,
                      .density = numbers.density});
  }
  const auto of_all = [&](Setting Settings::*which, double otherwise) {
    return FirstOf({&(slice.settings.*which), &(config_.settings.*which)}, place.hf_name,
                   place.position)
        .value_or(otherwise);
  };
  const Method method = config_.method;
  const bool dare = method == Method::kDareLinear || method == Method::kDareTies;
  const bool elects = method == Method::kTies || method == Method::kDareTies;
  const double normalize = of_all(&Settings::normalize, NormalizesUnlessTold(method) ? 1 : 0);
  const DeltaOptions options{.sparsify = dare                      ? Sparsify::kRandom
                                         : method == Method::kTies ? Sparsify::kMagnitude
                                                                   : Sparsify::kNone,
                             .elect = elects ? Elect::kYes : Elect::kNo,
                             .normalize = normalize != 0 ? Normalize::kYes : Normalize::kNo,
                             .lambda = of_all(&Settings::lambda, 1),
                             .seed = config_.seed,
                             .tensor = place.name};
  Tensor out = Tensor::Uninitialised(DType::kF32, place.shape);
  MergeDeltas(base.f32(), inputs, options, pool, out.f32());
  return out;
}

Result<Tensor> MergePlan::ReadScaled(const Place& place, ThreadPool& pool) const {
  const Source& source = config_.slices[place.slice].sources.front();
  METIER_ASSIGN(Tensor values, Load(place, source.model, source.first));
  METIER_ASSIGN(const Numbers numbers, NumbersOf(place, source));
  if (numbers.scale == 1) return values;
  Tensor out = Tensor::Uninitialised(DType::kF32, place.shape);
  MergeScaled(std::as_const(values).f32(), numbers.scale, pool, out.f32());
  return out;
}

Result<Tensor> MergePlan::Read(const std::string& name, ThreadPool& pool) const {
  const auto found = places_.find(name);
  METIER_CHECK(found != places_.end(), "a parameter of the result");
  const Place& place = found->second;
  switch (config_.method) {
    case Method::kLinear: return ReadLinear(place, pool);
    case Method::kSlerp: return ReadSlerp(place, pool);
    case Method::kPassthrough: return ReadScaled(place, pool);
    case Method::kTaskArithmetic:
    case Method::kTies:
    case Method::kDareLinear:
    case Method::kDareTies: break;
  }
  return ReadDeltas(place, pool);
}

Status RoundTo(DType dtype, Tensor& values) {
  if (dtype == DType::kF32) return Ok();
  Tensor stored = Tensor::Uninitialised(dtype, values.shape());
  METIER_TRY(format::EncodeFromF32(dtype, std::as_const(values).f32(), stored.bytes()));
  return format::DecodeToF32(dtype, stored.bytes(), values.f32());
}

}  // namespace metier::merge

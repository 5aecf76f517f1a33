#include "merge/merge_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace metier::merge {
namespace {

struct MethodRow {
  Method method;
  std::string_view name;
  std::vector<std::string_view> takes;  // parameters
};

const std::vector<MethodRow>& MethodRows() {
  static const std::vector<MethodRow> kRows = {
      {Method::kLinear, "linear", {"weight", "normalize"}},
      {Method::kSlerp, "slerp", {"t"}},
      {Method::kTaskArithmetic, "task_arithmetic", {"weight", "normalize", "lambda"}},
      {Method::kTies, "ties", {"weight", "density", "normalize", "lambda"}},
      {Method::kDareLinear, "dare_linear", {"weight", "density", "normalize", "lambda"}},
      {Method::kDareTies, "dare_ties", {"weight", "density", "normalize", "lambda"}},
      {Method::kPassthrough, "passthrough", {"scale"}},
  };
  return kRows;
}

const MethodRow& RowOf(Method method) {
  return *std::find_if(MethodRows().begin(), MethodRows().end(),
                       [method](const MethodRow& row) { return row.method == method; });
}

struct RefusedKey {
  std::string_view key;
  std::string_view remedy;
};

constexpr RefusedKey kRefusedKeys[] = {
    {"modules", "models of several parts are not read; write `models` or `slices`"},
    {"tokenizer", "tokens are not moved between vocabularies; write `tokenizer_source`"},
    {"chat_template", "the template goes along with the tokenizer; write `tokenizer_source`"},
    {"input_model_parameters", "write `parameters` under the model"},
};

constexpr RefusedKey kRefusedParameters[] = {
    {"rescale", "dare_* divide what they keep by the density, ties does not"},
    {"gamma", "a parameter of methods that are not there"},
    {"epsilon", "a parameter of methods that are not there"},
    {"select_topk", "a parameter of methods that are not there"},
    {"filter_wise", "a parameter of methods that are not there"},
    {"embed_slerp", "a parameter of methods that are not there"},
};

Status RefuseKeys(const Json& object, const std::string& path, std::span<const RefusedKey> keys) {
  if (!object.is_object()) return Ok();
  for (const RefusedKey& refused : keys) {
    if (!object.contains(std::string(refused.key))) continue;
    return Error(ErrorCode::kUnsupported,
                 fmt::format("{}.{}: not supported; {}", path, refused.key, refused.remedy));
  }
  return Ok();
}

// Every mapping under the key `parameters`, wherever it stands.
Status RefuseParameters(const Json& value, const std::string& path) {
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      const std::string place = path + "." + key;
      if (key == "parameters") METIER_TRY(RefuseKeys(item, place, kRefusedParameters));
      METIER_TRY(RefuseParameters(item, place));
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      METIER_TRY(RefuseParameters(value[i], fmt::format("{}[{}]", path, i)));
  }
  return Ok();
}

enum class Place { kSource, kSlice, kMerge };

// Parses the parameters of one place, as the method takes them.
class SettingsReader {
 public:
  explicit SettingsReader(const MethodRow& row) : row_(row) {}

  Result<Settings> Read(const RawSettings& raw, const std::string& path, Place place) const {
    const std::string at = path + ".parameters";
    Settings settings;
    const recipe::Constraint any;
    recipe::Constraint share;
    share.Above(0).AtMost(1);
    recipe::Constraint part;
    part.AtLeast(0).AtMost(1);
    METIER_TRY(One("weight", raw.weight, at, any, settings.weight));
    METIER_TRY(One("density", raw.density, at, share, settings.density));
    METIER_TRY(One("scale", raw.scale, at, any, settings.scale));
    METIER_TRY(One("t", raw.t, at, part, settings.t));
    METIER_TRY(One("lambda", raw.lambda, at, any, settings.lambda));
    METIER_TRY(One("normalize", raw.normalize, at, part, settings.normalize));
    if (!raw.normalize.is_null() && !raw.normalize.is_boolean())
      return recipe::internal::WrongType(at + ".normalize", "true or false", raw.normalize);
    const bool of_all = settings.t.given() || settings.lambda.given() || settings.normalize.given();
    if (place == Place::kSource && of_all) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: t, lambda and normalize are of all models together; write them "
                               "under the `parameters` of the merge{}",
                               at, path.starts_with("merge.slices") ? " or of the slice" : ""));
    }
    return settings;
  }

 private:
  Status One(const char* name, const Json& value, const std::string& at,
             const recipe::Constraint& constraint, Setting& setting) const {
    const std::string path = fmt::format("{}.{}", at, name);
    const bool taken = std::find(row_.takes.begin(), row_.takes.end(), name) != row_.takes.end();
    if (!value.is_null() && !taken) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: does nothing in a merge by {}, which "
                               "takes {}; leave it out",
                               path, row_.name, fmt::join(row_.takes, ", ")));
    }
    METIER_ASSIGN(setting, Setting::Parse(value, path, constraint));
    return Ok();
  }

  const MethodRow& row_;
};

Result<std::vector<Slice>> SliceOfModels(const MergeDocument& document,
                                         const SettingsReader& reader) {
  Slice slice;
  for (std::size_t i = 0; i < document.models.size(); ++i) {
    const ModelEntry& entry = document.models[i];
    Source source{.model = entry.model, .first = 0, .end = -1, .settings = {}};
    METIER_ASSIGN(source.settings, reader.Read(entry.parameters, fmt::format("merge.models[{}]", i),
                                               Place::kSource));
    slice.sources.push_back(std::move(source));
  }
  return std::vector<Slice>{std::move(slice)};
}

Result<Source> ReadSource(const SourceEntry& entry, const std::string& path,
                          const SettingsReader& reader) {
  const std::vector<std::int64_t>& range = entry.layer_range;
  if (range.size() != 2 || range[0] >= range[1]) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}.layer_range: found [{}], expected [first, end] with first below "
                             "end, which is not included",
                             path, fmt::join(range, ", ")));
  }
  Source source{.model = entry.model, .first = range[0], .end = range[1], .settings = {}};
  METIER_ASSIGN(source.settings, reader.Read(entry.parameters, path, Place::kSource));
  return source;
}

Result<std::vector<Slice>> ReadSlices(const MergeDocument& document, const SettingsReader& reader) {
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < document.slices.size(); ++i) {
    const SliceEntry& entry = document.slices[i];
    const std::string path = fmt::format("merge.slices[{}]", i);
    Slice slice;
    METIER_ASSIGN(slice.settings, reader.Read(entry.parameters, path, Place::kSlice));
    for (std::size_t j = 0; j < entry.sources.size(); ++j) {
      const std::string place = fmt::format("{}.sources[{}]", path, j);
      METIER_ASSIGN(Source source, ReadSource(entry.sources[j], place, reader));
      slice.sources.push_back(std::move(source));
      const Source& first = slice.sources.front();
      const Source& last = slice.sources.back();
      if (last.end - last.first == first.end - first.first) continue;
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}.layer_range: {} layers, but the slice's first source has {}",
                               place, last.end - last.first, first.end - first.first));
    }
    slices.push_back(std::move(slice));
  }
  return slices;
}

Error WrongMerge(std::string message) { return Error(ErrorCode::kDataCorrupt, std::move(message)); }

// What a method asks of the number of models and of the base.
Status CheckModels(const MergeConfig& config) {
  const std::string_view name = MethodName(config.method);
  if (config.uses_base() && config.base_model.empty()) {
    return WrongMerge(
        fmt::format("merge.base_model: required by {}, which sums changes against it", name));
  }
  for (std::size_t i = 0; i < config.slices.size(); ++i) {
    const std::vector<Source>& sources = config.slices[i].sources;
    const std::string path = sources.empty() || sources.front().end >= 0
                                 ? fmt::format("merge.slices[{}].sources", i)
                                 : "merge.models";
    if (sources.empty()) return WrongMerge(path + ": empty; at least one model is needed");
    if (config.method == Method::kPassthrough && sources.size() != 1)
      return WrongMerge(
          fmt::format("{}: {} models, but passthrough takes one: its weights go "
                      "through as they are",
                      path, sources.size()));
    if (config.method != Method::kSlerp) continue;
    if (sources.size() != 2)
      return WrongMerge(fmt::format("{}: {} models, but slerp takes two", path, sources.size()));
    const bool has_base = config.base_model.empty() || sources[0].model == config.base_model ||
                          sources[1].model == config.base_model;
    if (!has_base)
      return WrongMerge(
          fmt::format("merge.base_model: '{}' is none of the two models of {}; slerp "
                      "starts at one of them",
                      config.base_model, path));
  }
  return Ok();
}

}  // namespace

std::string_view MethodName(Method method) { return RowOf(method).name; }

bool MergeConfig::uses_base() const {
  return method == Method::kTaskArithmetic || method == Method::kTies ||
         method == Method::kDareLinear || method == Method::kDareTies;
}

std::vector<std::string> MergeConfig::Models() const {
  std::vector<std::string> names;
  const auto add = [&names](const std::string& name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  };
  add(base_model);
  for (const Slice& slice : slices) {
    for (const Source& source : slice.sources) add(source.model);
  }
  return names;
}

Result<MergeConfig> ParseMergeConfig(const Json& document) {
  METIER_TRY(RefuseKeys(document, "merge", kRefusedKeys));
  METIER_TRY(RefuseParameters(document, "merge"));
  MergeDocument fields;
  METIER_TRY(recipe::ReadFields(document, "merge", fields));
  MergeConfig config;
  const auto row = std::find_if(
      MethodRows().begin(), MethodRows().end(),
      [&fields](const MethodRow& candidate) { return candidate.name == fields.merge_method; });
  METIER_CHECK(row != MethodRows().end(), "one of the choices");
  config.method = row->method;
  config.base_model = fields.base_model;
  if (fields.models.empty() == fields.slices.empty()) {
    return WrongMerge(fields.models.empty() ? "merge: nothing to merge; write `models` or `slices`"
                                            : "merge: `models` and `slices` exclude each other");
  }
  const SettingsReader reader(*row);
  METIER_ASSIGN(config.settings, reader.Read(fields.parameters, "merge", Place::kMerge));
  METIER_ASSIGN(config.slices,
                fields.slices.empty() ? SliceOfModels(fields, reader) : ReadSlices(fields, reader));
  METIER_TRY(CheckModels(config));
  config.dtype = fields.out_dtype != "auto" ? fields.out_dtype : fields.dtype;
  if (fields.tokenizer_source == "union") {
    return Error(ErrorCode::kUnsupported,
                 "merge.tokenizer_source: union is not supported: tokens are not moved between "
                 "vocabularies; write base, or a model's path");
  }
  config.tokenizer_source =
      fields.tokenizer_source != "base" ? fields.tokenizer_source : config.Models().front();
  config.seed = static_cast<std::uint64_t>(fields.seed);
  config.evolve = std::move(fields.evolve);
  return config;
}

}  // namespace metier::merge

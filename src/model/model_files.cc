#include "model/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "format/decode.h"
#include "format/gguf.h"
#include "format/gptq.h"
#include "format/safetensors.h"
#include "model/packed_index.h"
#include "model/pooling_files.h"
#include "model/stored_tensors.h"

namespace metier::model {

struct ModelFiles::State {
  std::string path;
  Kind kind = Kind::kHuggingFace;
  ModelSpec spec;
  const Family* family = nullptr;
  std::unique_ptr<tensor::TensorSource> source;
  const format::GgufFile* gguf = nullptr;  // `source`, where that is a GGUF file
  std::map<std::string, Placement> placements;
  std::optional<format::GptqConfig> gptq;
  std::string packed_layout;
  std::map<std::string, tensor::TensorView> panels;
  std::map<std::string, std::vector<std::uint32_t>> orders;           // of a packed file
  std::map<std::string, const std::vector<std::uint32_t>*> order_of;  // parameter -> its order
  std::vector<std::string> unused;

  const Placement& At(const std::string& name) const {
    const auto found = placements.find(name);
    METIER_CHECK(found != placements.end(), "a name that is not in Parameters(spec)");
    return found->second;
  }

  Status OpenDirectory(const Limits& limits);
  Status OpenGguf(const Limits& limits);
  Status OpenPackedFolder(const Limits& limits);
  Status Place();
  Status PlacePacked(const std::string& text, const Limits& limits);
  Status PlaceOrder(const std::string& name, const PackedTensor& tensor);
  Status NoPanels(const std::string& name) const;
  Status ReadQuantisation(Json& config);
  // nullptr: a tensor that is not quantised.
  Result<std::shared_ptr<const format::GptqMatrix>> FindGptq(const std::string& name,
                                                             std::int64_t out, std::int64_t in);
  Status PlaceTensor(const StoredTensor& tensor, const std::vector<TensorRule>& rules,
                     const std::vector<Parameter>& parameters);
  Status ChoosePrefix(const std::vector<TensorRule>& rules);
  std::string WithPrefix(const std::string& name) const;
  void ListUnused();

 private:
  std::string_view prefix_;  // of this file, for Hugging Face names
  std::set<std::string> used_;
};

namespace {

namespace fs = std::filesystem;

Error WrongShape(const std::string& ours, const std::string& theirs, const tensor::Shape& found,
                 const tensor::Shape& expected) {
  return Error(
      ErrorCode::kDataCorrupt,
      fmt::format("parameter '{}': tensor '{}' has shape {}, the config calls for {}", ours, theirs,
                  tensor::FormatShape(found), tensor::FormatShape(expected)));
}

}  // namespace

Status ModelFiles::State::OpenDirectory(const Limits& limits) {
  std::error_code ignored;
  if (fs::exists(path + "/" + kPackedFileName, ignored)) return OpenPackedFolder(limits);
  METIER_ASSIGN(Json config, ReadJsonFile(path + "/config.json", limits));
  const auto type = config.is_object() ? config.find("model_type") : config.end();
  if (type == config.end() || !type->is_string())
    return Error(ErrorCode::kDataCorrupt, "config.json: no \"model_type\"");
  METIER_ASSIGN(family, FindFamilyByModelType(type->get_ref<const std::string&>()));
  METIER_TRY(ReadQuantisation(config));
  METIER_ASSIGN(spec, family->from_config(config));
  METIER_TRY(ReadPooling(path, limits, spec));
  METIER_TRY(Validate(spec, limits));
  METIER_ASSIGN(source, format::OpenSafetensorsModel(path, limits));
  return Place();
}

// Takes GPTQ's key out of the config: any other method stays for the family to refuse.
Status ModelFiles::State::ReadQuantisation(Json& config) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || !found->is_object()) return Ok();
  const auto method = found->find("quant_method");
  if (method == found->end() || *method != "gptq") return Ok();
  METIER_ASSIGN(gptq, format::ReadGptqConfig(*found));
  config.erase("quantization_config");
  return Ok();
}

Status ModelFiles::State::OpenPackedFolder(const Limits& limits) {
  std::error_code ignored;
  for (const char* other : {"model.safetensors", "model.safetensors.index.json"}) {
    if (!fs::exists(path + "/" + other, ignored)) continue;
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} and {} are both there; remove one of them", kPackedFileName, other));
  }
  METIER_ASSIGN(format::SafetensorsFile file,
                format::SafetensorsFile::Open(path + "/" + kPackedFileName, limits));
  const auto index = file.metadata().find(kPackedKey);
  if (index == file.metadata().end()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: no metadata '{}'", kPackedFileName, kPackedKey));
  }
  const std::string text = index->second;
  source = std::make_unique<format::SafetensorsFile>(std::move(file));
  return PlacePacked(text, limits);
}

Status ModelFiles::State::OpenGguf(const Limits& limits) {
  kind = Kind::kGguf;
  METIER_ASSIGN(format::GgufFile file, format::GgufFile::Open(path, limits));
  auto owned = std::make_unique<format::GgufFile>(std::move(file));
  gguf = owned.get();
  source = std::move(owned);
  if (gguf->Metadata(kPackedKey) != nullptr) {
    METIER_ASSIGN(const std::string index, gguf->Text(kPackedKey));
    return PlacePacked(index, limits);
  }
  METIER_ASSIGN(const std::string architecture, gguf->Text("general.architecture"));
  METIER_ASSIGN(const std::string type, gguf->TextOr("general.type", "model"));
  if (type != "model")
    return Error(ErrorCode::kUnsupported,
                 fmt::format("a GGUF of type '{}', a model is expected", type));
  METIER_ASSIGN(const Family* read_by, FindFamilyByGguf(architecture));
  METIER_ASSIGN(spec, read_by->from_gguf(*gguf));
  METIER_TRY(Validate(spec, limits));
  METIER_ASSIGN(family, FindFamily(spec.family));
  return Place();
}

Status ModelFiles::State::PlacePacked(const std::string& text, const Limits& limits) {
  METIER_ASSIGN(PackedIndex index, ReadPackedIndex(text, limits));
  METIER_ASSIGN(family, FindFamily(index.spec.family));
  spec = std::move(index.spec);
  packed_layout = std::move(index.layout);
  for (auto& [name, tensor] : index.tensors) {
    const tensor::TensorView* bytes = source->Find(name);
    if (bytes == nullptr || bytes->dtype != tensor::DType::kI8) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("parameter '{}' has no tensor of bytes", name));
    }
    const auto elements = static_cast<std::uint64_t>(tensor::ElementCount(tensor.shape));
    const auto expected = tensor::BytesFor(tensor.dtype, elements);
    if (!tensor.panels && expected != bytes->bytes.size()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("parameter '{}' has {} bytes, {} of shape {} takes {}", name,
                               bytes->bytes.size(), tensor::InfoOf(tensor.dtype).name,
                               tensor::FormatShape(tensor.shape), expected.value_or(0)));
    }
    if (!tensor.order.empty()) METIER_TRY(PlaceOrder(name, tensor));
    tensor::TensorView view{tensor.dtype, tensor.shape, bytes->bytes};
    if (tensor.panels) {
      panels.emplace(name, std::move(view));
    } else {
      TensorRule rule;
      rule.ours = name;
      rule.theirs = name;
      placements.emplace(name,
                         Placement{std::move(rule), std::move(tensor.shape), spec.head_dim, view});
    }
  }
  for (const std::string& name : source->Names()) {
    if (!index.tensors.contains(name) && !orders.contains(name)) unused.push_back(name);
  }
  return Ok();
}

// Parameters of one order share it. A tensor that is no permutation of the inputs is refused.
Status ModelFiles::State::PlaceOrder(const std::string& name, const PackedTensor& tensor) {
  const auto inputs = static_cast<std::size_t>(tensor.shape[1]);
  const auto corrupt = [&](std::string_view why) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("parameter '{}': its order '{}' {}, expected each of {} inputs once; "
                             "pack the model again",
                             name, tensor.order, why, inputs));
  };
  auto known = orders.find(tensor.order);
  if (known == orders.end()) {
    const tensor::TensorView* view = source->Find(tensor.order);
    if (view == nullptr || view->dtype != tensor::DType::kI32 || view->shape.size() != 1)
      return corrupt("is no tensor of I32 [inputs]");
    std::vector<std::uint32_t> order(static_cast<std::size_t>(view->shape[0]));
    std::memcpy(order.data(), view->bytes.data(), view->bytes.size());
    std::vector<bool> seen(order.size());
    for (const std::uint32_t input : order) {
      if (input >= order.size() || seen[input]) return corrupt("does not name each input once");
      seen[input] = true;
    }
    known = orders.emplace(tensor.order, std::move(order)).first;
  }
  if (known->second.size() != inputs) {
    return corrupt(fmt::format("is of {} inputs", known->second.size()));
  }
  order_of.emplace(name, &known->second);
  return Ok();
}

Status ModelFiles::State::NoPanels(const std::string& name) const {
  if (panels.count(name) == 0) return Ok();
  return Error(ErrorCode::kUnsupported,
               fmt::format("'{}': parameter '{}' is packed for the engine, which can run it and "
                           "nothing else; use the model from which this one was packed",
                           path, name));
}

std::string ModelFiles::State::WithPrefix(const std::string& name) const {
  if (kind == Kind::kGguf || family->hf_prefixes.empty()) return name;
  const std::string_view written = family->hf_prefixes.front();
  if (!name.starts_with(written)) return name;
  return std::string(prefix_) + name.substr(written.size());
}

Status ModelFiles::State::ChoosePrefix(const std::vector<TensorRule>& rules) {
  const std::string& embedding = rules.front().theirs;
  std::string tried;
  for (const std::string_view candidate : family->hf_prefixes) {
    prefix_ = candidate;
    const std::string name = WithPrefix(embedding);
    if (source->Find(name) != nullptr) return Ok();
    tried += fmt::format(" '{}'", name);
  }
  return Error(
      ErrorCode::kDataCorrupt,
      fmt::format("no token embedding: a model of family {} has one of{}", family->name, tried));
}

Result<std::shared_ptr<const format::GptqMatrix>> ModelFiles::State::FindGptq(
    const std::string& name, std::int64_t out, std::int64_t in) {
  constexpr std::string_view kWeight = ".weight";
  const std::shared_ptr<const format::GptqMatrix> none;
  if (!gptq || !name.ends_with(kWeight)) return none;
  const std::string stem = name.substr(0, name.size() - kWeight.size());
  const tensor::TensorView* found[] = {
      source->Find(stem + ".qweight"), source->Find(stem + ".qzeros"),
      source->Find(stem + ".scales"), source->Find(stem + ".g_idx")};
  if (found[0] == nullptr) return none;
  for (const char* part : {".qweight", ".qzeros", ".scales", ".g_idx"}) used_.insert(stem + part);
  if (found[1] == nullptr || found[2] == nullptr) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("'{}.qweight' has no '{}' beside it", stem,
                                                      found[1] == nullptr ? "qzeros" : "scales"));
  }
  format::GptqTensors tensors{.qweight = *found[0], .qzeros = *found[1], .scales = *found[2]};
  if (found[3] != nullptr) tensors.g_idx = *found[3];
  auto matrix = format::GptqMatrix::Create(tensors, *gptq, out, in);
  if (!matrix.ok()) return std::move(matrix).error().With(stem);
  return std::make_shared<const format::GptqMatrix>(std::move(matrix).value());
}

Status ModelFiles::State::PlaceTensor(const StoredTensor& tensor,
                                      const std::vector<TensorRule>& rules,
                                      const std::vector<Parameter>& parameters) {
  const std::string name = WithPrefix(tensor.name);
  const tensor::TensorView* view = source->Find(name);
  if (view != nullptr && view->shape != tensor.shape)
    return WrongShape(rules[tensor.parts.front()].ours, name, view->shape, tensor.shape);
  if (view != nullptr) used_.insert(name);
  std::shared_ptr<const format::GptqMatrix> quantised;
  if (view == nullptr && tensor.shape.size() == 2) {
    const bool transposed = rules[tensor.parts.front()].transpose;
    METIER_ASSIGN(quantised, FindGptq(name, tensor.shape[transposed ? 1 : 0],
                                      tensor.shape[transposed ? 0 : 1]));
  }
  for (const std::size_t part : tensor.parts) {
    Placement at{rules[part], parameters[part].shape, spec.head_dim, {}, quantised};
    const std::string alone = WithPrefix(at.rule.alternative);
    const tensor::TensorView* own = view != nullptr || alone.empty() ? view : source->Find(alone);
    if (own == nullptr && at.gptq == nullptr && at.shape.size() == 2) {
      METIER_ASSIGN(at.gptq, FindGptq(alone, at.shape[0], at.shape[1]));
    }
    if (at.gptq != nullptr) {
      std::string ours = at.rule.ours;
      placements.emplace(std::move(ours), std::move(at));
      continue;
    }
    if (own == nullptr) {
      const bool head = at.rule.ours == "head.weight";
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("parameter '{}' is missing: no tensor '{}'{}", at.rule.ours, name,
                               head ? " (should tie_word_embeddings be true?)" : ""));
    }
    if (view == nullptr && own->shape != at.shape)
      return WrongShape(at.rule.ours, alone, own->shape, at.shape);
    if (view == nullptr) used_.insert(alone);
    const bool slice = view != nullptr && at.rule.expert >= 0;
    at.view = slice ? SliceOfExpert(*view, at.rule.expert) : *own;
    std::string ours = at.rule.ours;
    placements.emplace(std::move(ours), std::move(at));
  }
  return Ok();
}

Status ModelFiles::State::Place() {
  const std::vector<TensorRule> rules =
      kind == Kind::kGguf ? family->gguf_rules(spec) : family->hf_rules(spec);
  if (kind == Kind::kHuggingFace) METIER_TRY(ChoosePrefix(rules));
  const std::vector<Parameter> parameters = Parameters(spec);
  for (const StoredTensor& tensor : StoredTensors(spec, rules))
    METIER_TRY(PlaceTensor(tensor, rules, parameters));
  ListUnused();
  return Ok();
}

void ModelFiles::State::ListUnused() {
  std::set<std::string> expected = {"rope_freqs.weight"};  // read into the spec
  if (spec.head && spec.tied_head) {
    // Some files hold the tied head a second time; transformers ignores it as well.
    ModelSpec untied = spec;
    untied.tied_head = false;
    const auto rules = kind == Kind::kGguf ? family->gguf_rules(untied) : family->hf_rules(untied);
    expected.insert(WithPrefix(rules.back().theirs));
  }
  for (const std::string& name : source->Names()) {
    const bool leftover =
        std::any_of(family->leftovers.begin(), family->leftovers.end(),
                    [&](std::string_view ending) { return name.ends_with(ending); });
    if (leftover || used_.count(name) != 0 || expected.count(name) != 0) continue;
    unused.push_back(name);
  }
  used_.clear();
  if (!unused.empty())
    LogWarning(fmt::format("'{}': {} tensors are not used, the first is '{}'", path, unused.size(),
                           unused.front()));
}

Result<ModelFiles> ModelFiles::Open(const std::string& path, const Limits& limits) {
  auto state = std::make_shared<State>();
  state->path = path;
  std::error_code ignored;
  const bool directory = fs::is_directory(path, ignored);
  auto opened = directory ? state->OpenDirectory(limits) : state->OpenGguf(limits);
  if (!opened.ok()) return std::move(opened).error().With("model '" + path + "'");
  ModelFiles files;
  files.state_ = std::move(state);
  return files;
}

const ModelSpec& ModelFiles::spec() const { return state_->spec; }
const Family& ModelFiles::family() const { return *state_->family; }
const std::string& ModelFiles::path() const { return state_->path; }
ModelFiles::Kind ModelFiles::kind() const { return state_->kind; }
const format::GgufFile* ModelFiles::gguf() const { return state_->gguf; }

const tensor::TensorSource& ModelFiles::tensors() const { return *state_->source; }
const std::string& ModelFiles::packed_layout() const { return state_->packed_layout; }

std::optional<tensor::TensorView> ModelFiles::Panels(const std::string& name) const {
  const auto found = state_->panels.find(name);
  if (found == state_->panels.end()) return std::nullopt;
  return found->second;
}

tensor::DType ModelFiles::StoredType(const std::string& name) const {
  if (const auto panels = Panels(name)) return panels->dtype;
  return TypeOfPlaced(state_->At(name));
}

std::optional<tensor::TensorView> ModelFiles::Borrow(const std::string& name) const {
  if (state_->panels.count(name) != 0) return std::nullopt;
  return BorrowPlaced(state_->At(name));
}

Result<tensor::Tensor> ModelFiles::Load(const std::string& name, ThreadPool* pool) const {
  METIER_TRY(state_->NoPanels(name));
  return LoadPlaced(state_->At(name), pool);
}

const std::vector<std::uint32_t>& ModelFiles::InputOrder(const std::string& name) const {
  static const std::vector<std::uint32_t> kInOrder;
  const auto packed = state_->order_of.find(name);
  if (packed != state_->order_of.end()) return *packed->second;
  const auto found = state_->placements.find(name);
  if (found == state_->placements.end() || found->second.gptq == nullptr) return kInOrder;
  return found->second.gptq->input_order();
}

Result<tensor::Tensor> ModelFiles::LoadF32(const std::string& name) const {
  METIER_TRY(state_->NoPanels(name));
  METIER_ASSIGN(tensor::Tensor values, LoadPlacedF32(state_->At(name)));
  const auto packed = state_->order_of.find(name);
  if (packed == state_->order_of.end()) return values;
  const std::vector<std::uint32_t>& order = *packed->second;
  tensor::Tensor sorted(tensor::DType::kF32, values.shape());
  for (std::size_t row = 0; row < values.f32().size(); row += order.size()) {
    for (std::size_t j = 0; j < order.size(); ++j)
      sorted.f32()[row + order[j]] = values.f32()[row + j];
  }
  return sorted;
}

Result<FileTensor> ModelFiles::Encode(const std::string& name, const tensor::Tensor& values) const {
  const auto refused = [&](const std::string& why) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("'{}': parameter '{}' {}; expected a Hugging Face directory in F32, "
                             "F16 or BF16 (`metier convert` makes one)",
                             path(), name, why));
  };
  if (kind() == Kind::kGguf) return refused("stands in a GGUF file");
  if (!packed_layout().empty()) return refused("is packed for the engine");
  const Placement& at = state_->At(name);
  if (at.gptq != nullptr || tensor::IsQuantised(at.view.dtype))
    return refused(fmt::format("is of type {}", tensor::InfoOf(StoredType(name)).name));
  METIER_CHECK(values.dtype() == tensor::DType::kF32 && values.shape() == at.shape,
               "values of the parameter's shape in F32");
  if (tensor::ElementCount(at.view.shape) != tensor::ElementCount(at.shape))
    return refused("shares its tensor with others");
  FileTensor stored;
  // Names of the file may begin otherwise than the rule's.
  for (const std::string& candidate : state_->source->Names()) {
    if (state_->source->Find(candidate)->bytes.data() == at.view.bytes.data())
      stored.name = candidate;
  }
  tensor::Tensor theirs(tensor::DType::kF32, at.view.shape);
  Store(at.rule, at.head_dim, values, theirs);
  stored.values = tensor::Tensor(at.view.dtype, at.view.shape);
  METIER_TRY(format::EncodeFromF32(at.view.dtype, theirs.f32(), stored.values.bytes()));
  return stored;
}

std::vector<std::string> ModelFiles::Unused() const { return state_->unused; }

tensor::DType CommonType(const ModelFiles& files) {
  std::map<tensor::DType, std::int64_t> elements;
  for (const Parameter& parameter : Parameters(files.spec()))
    elements[files.StoredType(parameter.name)] += tensor::ElementCount(parameter.shape);
  auto most = elements.begin();
  for (auto entry = elements.begin(); entry != elements.end(); ++entry) {
    if (entry->second > most->second) most = entry;
  }
  return tensor::IsQuantised(most->first) ? tensor::DType::kF16 : most->first;
}

}  // namespace metier::model

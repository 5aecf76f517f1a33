#include "model/packed_index.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/json.h"
#include "model/spec_json.h"

namespace metier::model {
namespace {

constexpr std::string_view kPanels = "panels";
constexpr std::string_view kRows = "rows";

Error Corrupt(std::string why) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("{}: {}", kPackedKey, why));
}

const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string_view TextOf(const Json* value) {
  return value != nullptr && value->is_string()
             ? std::string_view(value->get_ref<const std::string&>())
             : std::string_view();
}

Result<PackedTensor> ReadTensor(const std::string& name, const Json& entry) {
  const std::string_view form = TextOf(Member(entry, "form"));
  if (form != kPanels && form != kRows)
    return Corrupt(fmt::format("tensor '{}': its form is neither panels nor rows", name));
  const auto dtype = tensor::DTypeFromName(TextOf(Member(entry, "type")));
  if (!dtype) return Corrupt(fmt::format("tensor '{}': its type is not one we know", name));
  PackedTensor tensor{.panels = form == kPanels, .dtype = *dtype, .shape = {}};
  const Json* shape = Member(entry, "shape");
  if (shape == nullptr || !shape->is_array())
    return Corrupt(fmt::format("tensor '{}': no shape", name));
  for (const Json& dimension : *shape) {
    if (!dimension.is_number_integer())
      return Corrupt(fmt::format("tensor '{}': shape {}", name, DumpCompact(*shape)));
    tensor.shape.push_back(dimension.get<std::int64_t>());
  }
  if (const Json* order = Member(entry, "order")) {
    tensor.order = TextOf(order);
    if (tensor.order.empty())
      return Corrupt(fmt::format("tensor '{}': its order is no tensor's name", name));
  }
  return tensor;
}

// After which every shape is one that Validate has accepted.
Status CheckTensors(const PackedIndex& index) {
  const std::vector<Parameter> parameters = Parameters(index.spec);
  for (const Parameter& parameter : parameters) {
    const auto found = index.tensors.find(parameter.name);
    if (found == index.tensors.end())
      return Corrupt(fmt::format("parameter '{}' is missing", parameter.name));
    const PackedTensor& tensor = found->second;
    if (tensor.shape != parameter.shape) {
      return Corrupt(fmt::format("parameter '{}' has shape {}, the model calls for {}",
                                 parameter.name, tensor::FormatShape(tensor.shape),
                                 tensor::FormatShape(parameter.shape)));
    }
    if ((tensor.panels || !tensor.order.empty()) && tensor.shape.size() != 2) {
      return Corrupt(fmt::format("parameter '{}' is no matrix, and {}", parameter.name,
                                 tensor.panels ? "in panels" : "has an order of columns"));
    }
    if (index.tensors.contains(tensor.order)) {
      return Corrupt(fmt::format("parameter '{}' has another parameter, '{}', for an order",
                                 parameter.name, tensor.order));
    }
    if (tensor.shape.back() % tensor::InfoOf(tensor.dtype).block_elements != 0) {
      return Corrupt(fmt::format("parameter '{}': rows of {} are not whole blocks of {}",
                                 parameter.name, tensor.shape.back(),
                                 tensor::InfoOf(tensor.dtype).name));
    }
  }
  if (parameters.size() == index.tensors.size()) return Ok();
  return Corrupt(fmt::format("{} tensors, the model has {} parameters", index.tensors.size(),
                             parameters.size()));
}

}  // namespace

std::string WritePackedIndex(const PackedIndex& index) {
  Json tensors = Json::object();
  auto& entries = tensors.get_ref<Json::object_t&>();
  for (const auto& [name, tensor] : index.tensors) {
    Json entry = {{"form", tensor.panels ? kPanels : kRows},
                  {"type", tensor::InfoOf(tensor.dtype).name},
                  {"shape", tensor.shape}};
    if (!tensor.order.empty()) entry["order"] = tensor.order;
    entries.Json::object_t::Container::emplace_back(name, std::move(entry));
  }
  return DumpCompact(Json{{"layout", index.layout},
                          {"model", SpecToJson(index.spec)},
                          {"tensors", std::move(tensors)}});
}

Result<PackedIndex> ReadPackedIndex(const std::string& text, const Limits& limits) {
  auto document = ParseJson(text, limits);
  if (!document.ok()) return std::move(document).error().With(kPackedKey);
  const Json* spec = Member(*document, "model");
  const Json* tensors = Member(*document, "tensors");
  PackedIndex index;
  index.layout = TextOf(Member(*document, "layout"));
  if (index.layout.empty() || spec == nullptr || tensors == nullptr || !tensors->is_object())
    return Corrupt("\"layout\", \"model\" and \"tensors\" are expected");
  METIER_ASSIGN(index.spec, SpecFromJson(*spec));
  METIER_TRY(Validate(index.spec, limits));
  for (const auto& [name, entry] : tensors->items()) {
    METIER_ASSIGN(PackedTensor tensor, ReadTensor(name, entry));
    index.tensors.emplace(name, std::move(tensor));
  }
  METIER_TRY(CheckTensors(index));
  return index;
}

}  // namespace metier::model

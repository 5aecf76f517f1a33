#include "format/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/byte_reader.h"
#include "base/json.h"

namespace metier::format {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetadataKey = "__metadata__";

Error CorruptTensor(std::string_view tensor, std::string_view why) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("tensor '{}': {}", tensor, why));
}

Result<StringMap> ReadMetadata(const Json& value) {
  if (!value.is_object()) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("{}: a {} was found, an object of strings is "
                                                      "expected",
                                                      kMetadataKey, value.type_name()));
  }
  StringMap metadata;
  for (const auto& [key, item] : value.items()) {
    if (!item.is_string()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: \"{}\" is a {}, only strings are allowed", kMetadataKey, key,
                               item.type_name()));
    }
    metadata.emplace(key, item.get_ref<const std::string&>());
  }
  return metadata;
}

// One tensor's entry of the header, before the bytes are looked at.
struct Entry {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  tensor::Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

Result<tensor::DType> ReadDType(const std::string& name, const Json& value) {
  if (!value.is_string()) return CorruptTensor(name, "\"dtype\" is not a string");
  const auto& text = value.get_ref<const std::string&>();
  const auto dtype = tensor::DTypeFromSafetensors(text);
  if (!dtype) {
    std::string known;
    for (const tensor::DTypeInfo& info : tensor::AllDTypes()) {
      if (!info.safetensors_name.empty()) known += fmt::format(" {}", info.safetensors_name);
    }
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("tensor '{}': dtype \"{}\" is not one we read; known:{}", name, text, known));
  }
  return *dtype;
}

Result<tensor::Shape> ReadShape(const std::string& name, const Json& value, const Limits& limits) {
  if (!value.is_array()) return CorruptTensor(name, "\"shape\" is not an array");
  tensor::Shape shape;
  std::uint64_t elements = 1;
  for (const Json& item : value) {
    if (!item.is_number_unsigned())
      return CorruptTensor(
          name, fmt::format("\"shape\" holds {}, whole numbers are expected", DumpCompact(item)));
    const auto dimension = item.get<std::uint64_t>();
    const auto product = CheckedMul(elements, dimension);
    if (dimension > limits.max_tensor_elements || !product ||
        *product > limits.max_tensor_elements) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("tensor '{}': shape {} is above the limit of {} elements", name,
                               DumpCompact(value), limits.max_tensor_elements));
    }
    elements = *product;
    shape.push_back(static_cast<std::int64_t>(dimension));
  }
  return shape;
}

Result<Entry> ReadEntry(const std::string& name, const Json& value, const Limits& limits) {
  if (!value.is_object()) return CorruptTensor(name, "its header entry is not an object");
  const Json* offsets = nullptr;
  const Json* dtype = nullptr;
  const Json* shape = nullptr;
  for (const auto& [key, item] : value.items()) {
    if (key == "dtype") {
      dtype = &item;
    } else if (key == "shape") {
      shape = &item;
    } else if (key == "data_offsets") {
      offsets = &item;
    } else {
      return CorruptTensor(name,
                           fmt::format("unknown key \"{}\"; dtype, shape and data_offsets are "
                                       "expected",
                                       key));
    }
  }
  if (dtype == nullptr) return CorruptTensor(name, "\"dtype\" is missing");
  if (shape == nullptr) return CorruptTensor(name, "\"shape\" is missing");
  if (offsets == nullptr) return CorruptTensor(name, "\"data_offsets\" is missing");
  if (!offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned()) {
    return CorruptTensor(name, fmt::format("\"data_offsets\" is {}, [begin, end] is expected",
                                           DumpCompact(*offsets)));
  }
  Entry entry;
  entry.name = name;
  METIER_ASSIGN(entry.dtype, ReadDType(name, *dtype));
  METIER_ASSIGN(entry.shape, ReadShape(name, *shape, limits));
  entry.begin = (*offsets)[0].get<std::uint64_t>();
  entry.end = (*offsets)[1].get<std::uint64_t>();
  return entry;
}

// Every byte of the data belongs to exactly one tensor.
Status CheckLayout(std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t used = 0;
  for (const Entry& entry : entries) {
    const auto elements = static_cast<std::uint64_t>(tensor::ElementCount(entry.shape));
    const auto bytes = tensor::BytesFor(entry.dtype, elements);
    if (entry.end < entry.begin || !bytes || entry.end - entry.begin != *bytes) {
      return CorruptTensor(entry.name,
                           fmt::format("data_offsets [{}, {}], but {} of shape {} takes {} bytes",
                                       entry.begin, entry.end, tensor::InfoOf(entry.dtype).name,
                                       tensor::FormatShape(entry.shape), bytes.value_or(0)));
    }
    if (entry.end > data_bytes) {
      return CorruptTensor(entry.name,
                           fmt::format("ends at byte {} of the data, of which there are {} "
                                       "(file truncated?)",
                                       entry.end, data_bytes));
    }
    if (entry.begin != used) {
      return CorruptTensor(entry.name,
                           fmt::format("starts at byte {} of the data, expected {}: tensors "
                                       "must neither overlap nor leave holes",
                                       entry.begin, used));
    }
    used = entry.end;
  }
  if (used != data_bytes) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("{} bytes of data, of which the header explains {}", data_bytes, used));
  }
  return Ok();
}

struct Contents {
  StringMap metadata;
  std::map<std::string, tensor::TensorView> tensors;
};

Result<Contents> Read(std::span<const std::byte> bytes, const Limits& limits) {
  ByteReader reader(bytes);
  METIER_ASSIGN(const std::uint64_t header_bytes, reader.U64("header length"));
  if (header_bytes > limits.max_header_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("header of {} bytes, limit {} (is this a safetensors file?)",
                             header_bytes, limits.max_header_bytes));
  }
  METIER_ASSIGN(const std::string_view text, reader.Text(header_bytes, "header"));
  if (text.empty() || text.front() != '{')
    return Error(ErrorCode::kDataCorrupt, "the header does not start with '{'");
  METIER_ASSIGN(const Json header, ParseJson(text, limits));
  if (header.size() > limits.max_tensors) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("{} tensors, limit {}", header.size(), limits.max_tensors));
  }
  Contents contents;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadataKey) {
      METIER_ASSIGN(contents.metadata, ReadMetadata(value));
      continue;
    }
    METIER_ASSIGN(Entry entry, ReadEntry(name, value, limits));
    entries.push_back(std::move(entry));
  }
  METIER_TRY(CheckLayout(entries, reader.remaining()));
  const auto data = bytes.subspan(reader.offset());
  for (Entry& entry : entries) {
    tensor::TensorView view{entry.dtype, std::move(entry.shape),
                            data.subspan(static_cast<std::size_t>(entry.begin),
                                         static_cast<std::size_t>(entry.end - entry.begin))};
    contents.tensors.emplace(std::move(entry.name), std::move(view));
  }
  return contents;
}

// Shards as one source. The maps of the shards own the bytes.
class ShardedModel : public tensor::TensorSource {
 public:
  static Result<std::unique_ptr<tensor::TensorSource>> Open(const std::string& folder,
                                                            const std::string& index,
                                                            const Limits& limits) {
    METIER_ASSIGN(const Json document, ReadJsonFile(index, limits));
    const auto weights = document.is_object() ? document.find("weight_map") : document.end();
    if (weights == document.end() || !weights->is_object()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("'{}': no object \"weight_map\" {{tensor: file}}", index));
    }
    auto model = std::unique_ptr<ShardedModel>(new ShardedModel());
    for (const auto& [name, file] : weights->items()) {
      auto placed = model->Place(folder, name, file, limits);
      if (!placed.ok()) return std::move(placed).error().With("'" + index + "'");
    }
    METIER_TRY(model->CheckComplete());
    return std::unique_ptr<tensor::TensorSource>(std::move(model));
  }

  const tensor::TensorView* Find(const std::string& name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const auto& [name, view] : tensors_) names.push_back(name);
    return names;
  }

 private:
  ShardedModel() = default;

  Status Place(const std::string& folder, const std::string& name, const Json& file,
               const Limits& limits) {
    if (!file.is_string()) return CorruptTensor(name, "its shard is not a file name");
    const auto& shard = file.get_ref<const std::string&>();
    // A name with a slash could point outside of the model's folder.
    if (shard.empty() || shard.find('/') != std::string::npos || shard == "..") {
      return CorruptTensor(name, fmt::format("its shard '{}' is not a plain file name", shard));
    }
    auto open = shards_.find(shard);
    if (open == shards_.end()) {
      METIER_ASSIGN(SafetensorsFile opened, SafetensorsFile::Open(folder + "/" + shard, limits));
      open = shards_.emplace(shard, std::make_unique<SafetensorsFile>(std::move(opened))).first;
    }
    const tensor::TensorView* view = open->second->Find(name);
    if (view == nullptr)
      return CorruptTensor(name, fmt::format("the index places it in '{}', which lacks it", shard));
    tensors_.emplace(name, view);
    return Ok();
  }

  Status CheckComplete() const {
    for (const auto& [file, shard] : shards_) {
      for (const std::string& name : shard->Names()) {
        const auto found = tensors_.find(name);
        if (found == tensors_.end() || found->second != shard->Find(name))
          return CorruptTensor(
              name, fmt::format("stands in '{}', but the index does not place it there", file));
      }
    }
    return Ok();
  }

  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards_;
  std::map<std::string, const tensor::TensorView*> tensors_;
};

}  // namespace

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(MappedFile mapped, MappedFile::Open(path));
  SafetensorsFile file(std::move(mapped));
  auto contents = Read(file.file_.bytes(), limits);
  if (!contents.ok()) return std::move(contents).error().With("'" + path + "'");
  file.metadata_ = std::move(contents->metadata);
  file.tensors_ = std::move(contents->tensors);
  return file;
}

const tensor::TensorView* SafetensorsFile::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::vector<std::string> SafetensorsFile::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

Result<std::unique_ptr<tensor::TensorSource>> OpenSafetensorsModel(const std::string& folder,
                                                                   const Limits& limits) {
  const std::string single = folder + "/model.safetensors";
  const std::string index = folder + "/model.safetensors.index.json";
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    METIER_ASSIGN(SafetensorsFile file, SafetensorsFile::Open(single, limits));
    return std::unique_ptr<tensor::TensorSource>(
        std::make_unique<SafetensorsFile>(std::move(file)));
  }
  if (fs::exists(index, ignored)) return ShardedModel::Open(folder, index, limits);
  const bool pickled = fs::exists(folder + "/pytorch_model.bin", ignored) ||
                       fs::exists(folder + "/pytorch_model.bin.index.json", ignored);
  return Error(
      ErrorCode::kNotFound,
      fmt::format("'{}': neither model.safetensors nor model.safetensors.index.json{}", folder,
                  pickled ? "; pytorch_model.bin is a Python pickle, which is never read: save the "
                            "model with safe_serialization=True"
                          : ""));
}

}  // namespace metier::format

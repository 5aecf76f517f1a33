#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <set>

#include "base/json.h"
#include "format/safetensors.h"

namespace metier::format {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDataAlignment = 64;

Status CheckNames(const std::vector<TensorInfo>& infos) {
  std::set<std::string_view> seen;
  for (const TensorInfo& info : infos) {
    if (info.name == "__metadata__" || !seen.insert(info.name).second) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("tensor '{}': the name is {}", info.name,
                               info.name == "__metadata__" ? "reserved" : "given twice"));
    }
    if (tensor::InfoOf(info.dtype).safetensors_name.empty()) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("tensor '{}': {} is not a safetensors type; decode it or write GGUF",
                               info.name, tensor::InfoOf(info.dtype).name));
    }
  }
  return Ok();
}

// The header with its length, padded with spaces; sizes[i] are the bytes of tensor i.
std::string Header(const std::vector<TensorInfo>& infos, const std::vector<std::uint64_t>& sizes,
                   const StringMap& metadata) {
  Json header = Json::object();
  // push_back appends; operator[] of an ordered object would search all names before each insert.
  auto& entries = header.get_ref<Json::object_t&>();
  if (!metadata.empty())
    entries.Json::object_t::Container::emplace_back("__metadata__", Json(metadata));
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    Json entry = Json::object();
    entry["dtype"] = tensor::InfoOf(infos[i].dtype).safetensors_name;
    entry["shape"] = infos[i].shape;
    entry["data_offsets"] = std::array{offset, offset + sizes[i]};
    entries.Json::object_t::Container::emplace_back(infos[i].name, std::move(entry));
    offset += sizes[i];
  }
  std::string text = DumpCompact(header);
  while ((sizeof(std::uint64_t) + text.size()) % kDataAlignment != 0) text += ' ';
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

Result<std::vector<std::uint64_t>> SizesOf(const std::vector<TensorInfo>& infos) {
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const TensorInfo& info : infos) {
    METIER_ASSIGN(const std::uint64_t bytes, BytesOf(info));
    const auto sum = CheckedAdd(total, bytes);
    if (!sum)
      return Error(ErrorCode::kInvalidArgument, "tensors of more bytes than 64 bits can count");
    total = *sum;
    sizes.push_back(bytes);
  }
  return sizes;
}

struct Shard {
  std::size_t first = 0;  // index of its first tensor
  std::vector<TensorInfo> infos;
};

std::vector<Shard> Cut(const std::vector<TensorInfo>& infos,
                       const std::vector<std::uint64_t>& sizes, std::uint64_t max_shard_bytes) {
  std::vector<Shard> shards(1);
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const bool fits = sizes[i] <= max_shard_bytes && filled <= max_shard_bytes - sizes[i];
    if (!fits && !shards.back().infos.empty()) {
      shards.push_back({i, {}});
      filled = 0;
    }
    shards.back().infos.push_back(infos[i]);
    filled += sizes[i];
  }
  return shards;
}

Status WriteIndex(const std::string& path, const std::vector<Shard>& shards,
                  const std::vector<std::string>& names, std::uint64_t total_bytes) {
  Json weights = Json::object();
  auto& entries = weights.get_ref<Json::object_t&>();
  for (std::size_t s = 0; s < shards.size(); ++s) {
    for (const TensorInfo& info : shards[s].infos)
      entries.Json::object_t::Container::emplace_back(info.name, Json(names[s]));
  }
  Json index = Json::object();
  index["metadata"] = Json{{"total_size", total_bytes}};
  index["weight_map"] = std::move(weights);
  return WriteFileAtomic(path, DumpPretty(index));
}

}  // namespace

Status StreamSafetensors(const std::string& path, const std::vector<TensorInfo>& infos,
                         const StringMap& metadata, const TensorProducer& produce) {
  METIER_TRY(CheckNames(infos));
  METIER_ASSIGN(const std::vector<std::uint64_t> sizes, SizesOf(infos));
  METIER_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  METIER_TRY(file.Write(Header(infos, sizes, metadata)));
  for (std::size_t i = 0; i < infos.size(); ++i)
    METIER_TRY(WriteTensorBytes(file, infos[i], sizes[i], i, produce));
  return file.Commit();
}

Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                        const StringMap& metadata) {
  return StreamSafetensors(path, InfosOf(tensors), metadata, ProducerOf(tensors));
}

Status StreamSafetensorsModel(const std::string& folder, const std::vector<TensorInfo>& infos,
                              const StringMap& metadata, const TensorProducer& produce,
                              std::uint64_t max_shard_bytes) {
  METIER_TRY(MakeDirectories(folder));
  METIER_TRY(CheckNames(infos));  // across shards, where each file alone would not see a duplicate
  METIER_ASSIGN(const std::vector<std::uint64_t> sizes, SizesOf(infos));
  const std::vector<Shard> shards = Cut(infos, sizes, max_shard_bytes);
  const std::string single = folder + "/model.safetensors";
  const std::string index = single + ".index.json";
  std::error_code ignored;
  if (shards.size() == 1) {
    METIER_TRY(StreamSafetensors(single, infos, metadata, produce));
    fs::remove(index, ignored);
    return Ok();
  }
  std::vector<std::string> names;
  std::uint64_t total = 0;
  for (const std::uint64_t bytes : sizes) total += bytes;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    names.push_back(fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size()));
    METIER_TRY(StreamSafetensors(
        folder + "/" + names.back(), shards[s].infos, metadata,
        [&](std::size_t i, const ByteSink& sink) { return produce(shards[s].first + i, sink); }));
  }
  METIER_TRY(WriteIndex(index, shards, names, total));
  fs::remove(single, ignored);  // readers prefer it to the index
  return Ok();
}

Status WriteSafetensorsModel(const std::string& folder, const std::vector<NamedTensor>& tensors,
                             const StringMap& metadata, std::uint64_t max_shard_bytes) {
  return StreamSafetensorsModel(folder, InfosOf(tensors), metadata, ProducerOf(tensors),
                                max_shard_bytes);
}

}  // namespace metier::format

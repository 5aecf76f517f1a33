#include "model/edit_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "format/safetensors.h"

namespace metier::model {
namespace {

namespace fs = std::filesystem;

constexpr char kStackName[] = "edits.json";
constexpr char kKeptName[] = "edits.safetensors";
constexpr char kIndexName[] = "model.safetensors.index.json";
constexpr char kStackFormat[] = "metier-edits";

using Hashes = std::map<std::string, std::string>;  // file name -> SHA-256

// The files that hold the weights of a directory, by name.
Result<std::vector<std::string>> WeightFiles(const std::string& folder) {
  std::error_code ignored;
  if (!fs::exists(folder + "/" + kIndexName, ignored))
    return std::vector<std::string>{"model.safetensors"};
  METIER_ASSIGN(const Json index, ReadJsonFile(folder + "/" + kIndexName));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object())
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}/{}': no weight_map", folder, kIndexName));
  std::vector<std::string> names = {kIndexName};
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() ||
        fs::path(file.get<std::string>()).filename() != file.get<std::string>())
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("'{}/{}': tensor '{}' is in no file", folder, kIndexName, tensor));
    names.push_back(file.get<std::string>());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<Hashes> HashWeights(const std::string& folder) {
  Hashes hashes;
  METIER_ASSIGN(const std::vector<std::string> files, WeightFiles(folder));
  for (const std::string& file : files) {
    METIER_ASSIGN(hashes[file], Sha256OfFile(folder + "/" + file));
  }
  return hashes;
}

// That the files are these. `when`: at which state they were, for the message.
Status CheckHashes(const std::string& folder, const Hashes& found, const Json& expected,
                   const std::string& when) {
  for (const auto& [file, hash] : expected.items()) {
    const auto at = found.find(file);
    const std::string is = at == found.end() ? "no such file" : at->second;
    if (is == hash.get<std::string>()) continue;
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}/{}': found {}, expected {} as {}; take the edits back from the "
                             "directory that `metier edit` "
                             "wrote, unchanged",
                             folder, file, is, hash.get<std::string>(), when));
  }
  if (found.size() == expected.size()) return Ok();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("'{}': found {} files of weights, expected {} as {}", folder,
                           found.size(), expected.size(), when));
}

bool IsHashes(const Json& edit, const char* key) {
  if (!edit.contains(key) || !edit[key].is_object() || edit[key].empty()) return false;
  return std::all_of(edit[key].begin(), edit[key].end(),
                     [](const Json& hash) { return hash.is_string(); });
}

using Replaced = std::map<std::string, tensor::TensorView>;

// One file with some of its tensors' bytes replaced; takes those that it has out of `left`.
Status CopyReplacing(const std::string& from, const std::string& to, Replaced& left) {
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(from));
  METIER_ASSIGN(const MappedFile whole, MappedFile::Open(from));
  std::map<std::uint64_t, std::span<const std::byte>> pieces;  // by where they go
  for (auto at = left.begin(); at != left.end();) {
    const tensor::TensorView* own = file.Find(at->first);
    if (own == nullptr) {
      ++at;
      continue;
    }
    if (own->dtype != at->second.dtype || own->shape != at->second.shape) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("tensor '{}' of '{}': {} {} was given, {} {} expected", at->first, from,
                      tensor::InfoOf(at->second.dtype).name, tensor::FormatShape(at->second.shape),
                      tensor::InfoOf(own->dtype).name, tensor::FormatShape(own->shape)));
    }
    pieces.emplace(file.OffsetOf(*own), at->second.bytes);
    at = left.erase(at);
  }
  METIER_ASSIGN(AtomicFile out, AtomicFile::Create(to));
  std::uint64_t done = 0;
  for (const auto& [offset, bytes] : pieces) {
    METIER_TRY(out.Write(whole.bytes().subspan(done, offset - done)));
    METIER_TRY(out.Write(bytes));
    done = offset + bytes.size();
  }
  METIER_TRY(out.Write(whole.bytes().subspan(done)));
  return out.Commit();
}

Status CopyWeights(const std::string& from, const std::string& to, Replaced replaced) {
  METIER_TRY(MakeDirectories(to));
  METIER_ASSIGN(const std::vector<std::string> files, WeightFiles(from));
  for (const std::string& file : files) {
    const std::string source = from + "/" + file;
    if (file == kIndexName) {
      METIER_TRY(CopyFile(source, to + "/" + file));
    } else {
      METIER_TRY(CopyReplacing(source, to + "/" + file, replaced));
    }
  }
  if (replaced.empty()) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("'{}' has no tensor '{}'", from, replaced.begin()->first));
}

// "3.model.norm.weight" -> 3; nothing: not of that form.
std::optional<std::size_t> NumberOf(const std::string& kept) {
  const std::size_t dot = kept.find('.');
  if (dot == 0 || dot == std::string::npos || dot > 9) return std::nullopt;
  std::size_t number = 0;
  for (std::size_t i = 0; i < dot; ++i) {
    if (kept[i] < '0' || kept[i] > '9') return std::nullopt;
    number = 10 * number + static_cast<std::size_t>(kept[i] - '0');
  }
  return number;
}

Status WriteStack(const std::string& folder, const std::vector<Json>& edits,
                  const std::vector<format::NamedTensor>& kept) {
  if (edits.empty()) return Ok();
  METIER_TRY(format::WriteSafetensors(folder + "/" + kKeptName, kept, {{"format", kStackFormat}}));
  const Json document = {{"format", kStackFormat}, {"version", 1}, {"edits", edits}};
  return WriteFileAtomic(folder + "/" + kStackName, DumpPretty(document));
}

// What the stack's first `edits` entries keep; views into `file`.
std::vector<format::NamedTensor> KeptBelow(const format::SafetensorsFile& file, std::size_t edits) {
  std::vector<format::NamedTensor> kept;
  for (const std::string& name : file.Names()) {
    if (NumberOf(name).value_or(edits) < edits) kept.push_back({name, *file.Find(name)});
  }
  return kept;
}

}  // namespace

bool IsEdited(const std::string& folder) {
  std::error_code ignored;
  return fs::exists(folder + "/" + kStackName, ignored);
}

Result<std::vector<Json>> ReadEdits(const std::string& folder, const Limits& limits) {
  if (!IsEdited(folder)) return std::vector<Json>();
  const std::string path = folder + "/" + kStackName;
  METIER_ASSIGN(const Json document, ReadJsonFile(path, limits));
  const auto corrupt = [&](const std::string& why) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': {}", path, why));
  };
  if (!document.is_object() || document.value("format", Json()) != kStackFormat)
    return corrupt(fmt::format("expected \"format\": \"{}\"", kStackFormat));
  if (document.value("version", Json()) != 1) return corrupt("expected \"version\": 1");
  const auto edits = document.find("edits");
  if (edits == document.end() || !edits->is_array() || edits->empty())
    return corrupt("expected a list \"edits\"");
  for (const Json& edit : *edits) {
    if (!edit.is_object() || !edit.contains("about") || !IsHashes(edit, "before") ||
        !IsHashes(edit, "after"))
      return corrupt("an edit without \"about\", \"before\" or \"after\"");
  }
  return std::vector<Json>(edits->begin(), edits->end());
}

Status WriteEdit(const std::string& from, const std::string& to,
                 const std::vector<FileTensor>& changed, const Json& about) {
  METIER_ASSIGN(std::vector<Json> edits, ReadEdits(from));
  METIER_ASSIGN(const Hashes before, HashWeights(from));
  if (!edits.empty())
    METIER_TRY(CheckHashes(from, before, edits.back()["after"], "its newest edit left it"));
  if (changed.empty())
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': an edit that changes no tensor", from));
  METIER_ASSIGN(const auto source, format::OpenSafetensorsModel(from));
  std::optional<format::SafetensorsFile> older;
  std::vector<format::NamedTensor> kept;
  if (!edits.empty()) {
    METIER_ASSIGN(older, format::SafetensorsFile::Open(from + "/" + kKeptName));
    kept = KeptBelow(*older, edits.size());
  }
  Replaced replaced;
  for (const FileTensor& tensor : changed) {
    const tensor::TensorView* own = source->Find(tensor.name);
    if (own != nullptr) kept.push_back({fmt::format("{}.{}", edits.size(), tensor.name), *own});
    replaced.emplace(tensor.name, tensor.values.view());
  }
  METIER_TRY(CopyWeights(from, to, std::move(replaced)));
  METIER_ASSIGN(const Hashes after, HashWeights(to));
  edits.push_back({{"about", about}, {"before", before}, {"after", after}});
  return WriteStack(to, edits, kept);
}

Status WriteReverted(const std::string& from, const std::string& to, std::size_t count) {
  METIER_ASSIGN(std::vector<Json> edits, ReadEdits(from));
  if (edits.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' was not edited: found no {}, expected what `metier edit` wrote",
                             from, kStackName));
  }
  if (count == 0 || count > edits.size()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' has {} edits; {} cannot be taken back", from, edits.size(), count));
  }
  METIER_ASSIGN(const Hashes found, HashWeights(from));
  METIER_TRY(CheckHashes(from, found, edits.back()["after"], "its newest edit left it"));
  METIER_ASSIGN(const format::SafetensorsFile kept,
                format::SafetensorsFile::Open(from + "/" + kKeptName));
  const std::size_t left = edits.size() - count;
  // Of several edits of one tensor the oldest of those taken back knows what was there before.
  Replaced replaced;
  std::map<std::string, std::size_t> oldest;
  for (const std::string& name : kept.Names()) {
    const auto number = NumberOf(name);
    if (!number || *number < left) continue;
    const std::string tensor = name.substr(name.find('.') + 1);
    const auto [at, inserted] = oldest.emplace(tensor, *number);
    if (!inserted && at->second < *number) continue;
    at->second = *number;
    replaced[tensor] = *kept.Find(name);
  }
  METIER_TRY(CopyWeights(from, to, std::move(replaced)));
  METIER_ASSIGN(const Hashes restored, HashWeights(to));
  METIER_TRY(CheckHashes(to, restored, edits[left]["before"], "it was before the edit"));
  const std::vector<Json> rest(edits.begin(), edits.begin() + static_cast<std::ptrdiff_t>(left));
  return WriteStack(to, rest, KeptBelow(kept, left));
}

}  // namespace metier::model

#include "specialist/runnable.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "format/gguf.h"
#include "model/gguf_vocab.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// What a specialist's folder adds to its base model.
Status ReadCompanions(const std::string& folder, Runnable& model) {
  const Manifest& manifest = *model.manifest;
  if (!manifest.tools.empty()) {
    METIER_ASSIGN(model.tools, ReadJsonFile(folder + "/" + manifest.tools));
  }
  if (!manifest.system.empty()) {
    constexpr std::uint64_t kMostBytes = 1ULL << 20;
    METIER_ASSIGN(model.system, ReadFile(folder + "/" + manifest.system, kMostBytes));
  }
  if (!manifest.tool_dialect.empty()) {
    METIER_ASSIGN(model.dialect, text::ToolDialectFromName(manifest.tool_dialect));
  }
  model.generation = manifest.generation;
  if (!model.chat_template) return Ok();
  const std::string found = Sha256Hex(model.chat_template->source());
  if (manifest.chat_template_sha256 == found) return Ok();
  return Error(ErrorCode::kDataCorrupt, fmt::format("'{}': the chat template is not the one it was "
                                                    "trained with: found sha256 {}, expected {}",
                                                    folder, found, manifest.chat_template_sha256));
}

}  // namespace

std::vector<text::TokenId> Runnable::StopTokens() const {
  std::vector<text::TokenId> stop = tokenizer.special().end_of_turn;
  if (tokenizer.special().eos >= 0) stop.push_back(tokenizer.special().eos);
  return stop;
}

text::ChatTemplate::Tokens Runnable::TemplateTokens() const {
  const auto name = [&](text::TokenId id) {
    return id < 0 ? std::string() : std::string(tokenizer.TokenName(id));
  };
  return {name(tokenizer.special().bos), name(tokenizer.special().eos)};
}

Result<text::Tokenizer> OpenTokenizer(const std::string& path, const Limits& limits) {
  if (IsFolder(path)) return text::LoadTokenizer(path, limits);
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path, limits));
  return model::LoadGgufTokenizer(file, limits);
}

Result<text::ChatTemplate> OpenChatTemplate(const std::string& path, text::WithTools tools,
                                            const Limits& limits) {
  if (IsFolder(path)) return text::LoadChatTemplate(path, tools, limits);
  METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path, limits));
  METIER_ASSIGN(const std::string source, file.Text("tokenizer.chat_template"));
  return text::ChatTemplate::Parse(source, limits);
}

Result<Runnable> OpenRunnable(const OpenOptions& options, const Limits& limits) {
  std::string base = options.path;
  std::string adapter = options.adapter;
  std::optional<Manifest> manifest;
  if (IsSpecialist(options.path)) {
    METIER_ASSIGN(manifest, VerifySpecialist(options.path));
    base = options.path + "/" + manifest->base;
    if (!manifest->adapter.empty()) {
      if (!adapter.empty()) {
        return Error(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' has an adapter of its own; '{}' cannot be put on top",
                                 options.path, adapter));
      }
      adapter = options.path + "/" + manifest->adapter;
    }
  }
  METIER_ASSIGN(model::ModelFiles files, model::ModelFiles::Open(base, limits));
  METIER_ASSIGN(text::Tokenizer tokenizer, OpenTokenizer(base, limits));
  Runnable model{.files = std::move(files),
                 .tokenizer = std::move(tokenizer),
                 .manifest = std::move(manifest)};

  auto chat_template = OpenChatTemplate(base, text::WithTools::kYes, limits);
  if (chat_template.ok()) {
    model.chat_template = *std::move(chat_template);
    model.dialect = text::DetectToolDialect(model.chat_template->source());
  } else if (chat_template.error().code() != ErrorCode::kNotFound) {
    return std::move(chat_template).error().With("'" + base + "'");
  }
  if (!adapter.empty()) {
    METIER_ASSIGN(model.adapter, model::OpenAdapter(model.files.spec(), adapter, limits));
  }
  if (model.manifest) METIER_TRY(ReadCompanions(options.path, model));
  return model;
}

}  // namespace metier::specialist

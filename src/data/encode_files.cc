// EncodeFiles: whole files, on all cores.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/thread_pool.h"
#include "data/encode.h"

namespace metier::data {
namespace {

// Encodes conversations on many threads and hands the examples on in the order of the
// conversations.
class Crew {
 public:
  using Take = std::function<Status(const Conversation&, const std::vector<Example>&)>;

  Crew(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat_template,
       const EncodeOptions& options)
      : tokenizer_(tokenizer),
        chat_template_(chat_template),
        options_(options),
        pool_(options.threads > 0 ? options.threads : ThreadPool::DefaultThreads()) {}

  // Errors in the order of the conversations, with the name of their file.
  Status Add(Conversation&& conversation, const std::string& file, const Take& take) {
    constexpr std::size_t kMost = 256;
    constexpr std::uint64_t kMostBytes = 8 << 20;
    const std::uint64_t begin = waiting_.empty() ? conversation.end : waiting_.front().end;
    waiting_.push_back(std::move(conversation));
    const bool full = waiting_.size() == kMost || waiting_.back().end - begin > kMostBytes;
    return full ? Flush(file, take) : Ok();
  }

  Status Flush(const std::string& file, const Take& take) {
    struct Encoded {
      std::optional<Result<std::vector<Example>>> examples;
      EncodeReport report;
    };
    std::vector<Encoded> all(waiting_.size());
    pool_.ParallelFor(all.size(), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        Encoder encoder(tokenizer_, chat_template_, options_);
        all[i].examples = encoder.Encode(waiting_[i]);
        all[i].report = encoder.report();
      }
    });
    for (std::size_t i = 0; i < all.size(); ++i) {
      auto& examples = *all[i].examples;
      if (!examples.ok()) return std::move(examples).error().With("'" + file + "'");
      report_.Add(all[i].report);
      METIER_TRY(take(waiting_[i], *examples));
    }
    waiting_.clear();
    return Ok();
  }

  const EncodeReport& report() const { return report_; }

 private:
  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_template_;
  const EncodeOptions& options_;
  ThreadPool pool_;
  std::vector<Conversation> waiting_;
  EncodeReport report_;
};

Status CheckLoss(const EncodeReport& report) {
  if (report.conversation_tokens == 0) return Ok();
  const bool none = report.conversation_trained_tokens == 0;
  const bool all = report.conversation_trained_tokens == report.conversation_tokens;
  if (!none && !all) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("{} of the {} conversation tokens carry loss, expected the assistant's "
                           "only; does the chat template fit the data?",
                           none ? "none" : "all", report.conversation_tokens));
}

Result<std::vector<std::uint64_t>> FileSizes(const std::vector<std::string>& files) {
  std::vector<std::uint64_t> sizes;
  for (const std::string& file : files) {
    std::error_code failed;
    sizes.push_back(std::filesystem::file_size(file, failed));
    if (failed) return Error(ErrorCode::kNotFound, fmt::format("'{}': {}", file, failed.message()));
  }
  return sizes;
}

// All rows have judgements or none has: a trainer reads a token file in one way.
Status CheckForms(const std::vector<std::string>& files, const ReadOptions& read) {
  if (read.form) return Ok();
  const std::string* judged = nullptr;
  const std::string* plain = nullptr;
  for (const std::string& file : files) {
    METIER_ASSIGN(const FoundForm found, FindForm(file, read.limits));
    (IsJudged(found.form) ? judged : plain) = &file;
  }
  if (judged == nullptr || plain == nullptr) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("'{}' has answers with judgements, '{}' has none; expected one of both: "
                           "make a token file of each",
                           *judged, *plain));
}

}  // namespace

Result<EncodeReport> EncodeFiles(const std::vector<std::string>& files,
                                 const text::Tokenizer& tokenizer,
                                 const std::string& tokenizer_hash,
                                 const text::ChatTemplate* chat_template,
                                 const EncodeOptions& options, const std::string& out) {
  METIER_ASSIGN(format::TokenFileWriter writer, format::TokenFileWriter::Create(out));
  Crew crew(tokenizer, chat_template, options);
  std::vector<ReadReport> reports;
  format::StringMap metadata = {{"tokenizer_sha256", tokenizer_hash}};
  if (chat_template != nullptr) metadata["template_sha256"] = Sha256Hex(chat_template->source());
  METIER_ASSIGN(const std::vector<std::uint64_t> sizes, FileSizes(files));
  METIER_TRY(CheckForms(files, options.read));
  const std::uint64_t total = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    METIER_ASSIGN(metadata[fmt::format("source_{}_sha256", i)], Sha256OfFile(files[i]));
    const auto write = [&](const Conversation& conversation,
                           const std::vector<Example>& examples) -> Status {
      for (const Example& example : examples)
        METIER_TRY(writer.Add(example.ids, example.loss, example.judgement));
      return Report(options.on_progress, before + conversation.end, total,
                    fmt::format("{} examples", crew.report().examples));
    };
    const auto encode = [&](Conversation&& conversation) -> Status {
      return crew.Add(std::move(conversation), files[i], write);
    };
    METIER_ASSIGN(ReadReport read, ReadConversations(files[i], options.read, encode));
    METIER_TRY(crew.Flush(files[i], write));
    reports.push_back(std::move(read));
    before += sizes[i];
  }
  EncodeReport report = crew.report();
  report.files = std::move(reports);
  if (report.examples == 0) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("no example is left: {} conversations were refused by the template, {} "
                    "dropped for their length, {} pairs for answers of the same tokens{}",
                    report.template_refused, report.long_dropped, report.pairs_alike,
                    report.template_refusals.empty()
                        ? ""
                        : "; first: " + report.template_refusals[0].reason));
  }
  METIER_TRY(CheckLoss(report));
  metadata["examples"] = std::to_string(report.examples);
  metadata["tokens"] = std::to_string(report.tokens);
  metadata["trained_tokens"] = std::to_string(report.trained_tokens);
  if (2 * report.pairs == report.examples) metadata[format::kPairsKey] = "true";
  METIER_TRY(writer.Finish(metadata));
  return report;
}

}  // namespace metier::data

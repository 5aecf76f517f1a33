// format/token_file.h - training examples as tokens: what `data/` writes and the trainer maps.
//
// A safetensors file with
//
//   starts  I64 [examples + 1]  where each example begins; the last one is the number of tokens
//   ids     I32 [tokens]
//   loss    U8  [tokens]        1: the model learns to predict this token from those before it
//   judged  U8  [examples]      0: no judgement, 1: a good answer, 2: a bad one; only in files
//   where
//                               some example has a judgement
//
// in this order, so that each is aligned to its type, and metadata that says what the tokens came
// from (hashes of tokenizer, template and sources, counts). Metadata "pairs": "true" says that the
// examples are preferences, two and two: the good answer to a prompt, then the bad one to the same.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "format/safetensors.h"

namespace metier::format {

// What is known of an example's answer. The numbers are those of the file.
enum class Judgement : std::uint8_t { kNone = 0, kGood = 1, kBad = 2 };

// The key of the metadata that says so when all examples are pairs, with the value "true".
inline constexpr const char* kPairsKey = "pairs";

// Writes examples one after the other with room for one in memory: the columns grow in unnamed
// files beside the target and become one file at the end, atomically.
class TokenFileWriter {
 public:
  // kIo: no file can be made in the target's folder.
  static Result<TokenFileWriter> Create(const std::string& path);
  TokenFileWriter(TokenFileWriter&&) noexcept;
  TokenFileWriter(const TokenFileWriter&) = delete;
  TokenFileWriter& operator=(TokenFileWriter&&) = delete;
  TokenFileWriter& operator=(const TokenFileWriter&) = delete;
  ~TokenFileWriter();

  // Requires ids.size() == loss.size(). kInvalidArgument: no token, a negative id, a flag that is
  // neither 0 nor 1. kIo.
  Status Add(std::span<const std::int32_t> ids, std::span<const std::uint8_t> loss,
             Judgement judgement = Judgement::kNone);
  // kInvalidArgument: no example was added, or the metadata says pairs and the examples are not a
  // good and a bad one by turns. The writer is spent.
  Status Finish(const StringMap& metadata);

  std::int64_t examples() const;
  std::int64_t tokens() const;

 private:
  struct State;
  explicit TokenFileWriter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

class TokenFile {
 public:
  // kDataCorrupt: a tensor is missing or of another type or length, starts that do not rise from 0
  // to the number of tokens, a negative id, a judgement that is none, pairs that the metadata
  // promises and that are none.
  static Result<TokenFile> Open(const std::string& path, const Limits& limits = {});

  std::int64_t examples() const { return static_cast<std::int64_t>(starts_.size()) - 1; }
  std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }
  // Of all examples; borrowed from the map.
  std::span<const std::int64_t> starts() const { return starts_; }
  std::span<const std::int32_t> ids() const { return ids_; }
  std::span<const std::uint8_t> loss() const { return loss_; }
  // Of one. Requires 0 <= example < examples().
  std::span<const std::int32_t> Ids(std::int64_t example) const;
  std::span<const std::uint8_t> Loss(std::int64_t example) const;
  format::Judgement Judgement(std::int64_t example) const;
  // Whether any example has one.
  bool has_judgements() const { return has_judgements_; }
  // Examples 2 i and 2 i + 1 are the good and the bad answer to one prompt, for every i.
  bool paired() const { return paired_; }
  const StringMap& metadata() const { return file_->metadata(); }

 private:
  explicit TokenFile(std::shared_ptr<const SafetensorsFile> file) : file_(std::move(file)) {}
  Status ReadJudgements();

  std::shared_ptr<const SafetensorsFile> file_;
  std::span<const std::int64_t> starts_;
  std::span<const std::int32_t> ids_;
  std::span<const std::uint8_t> loss_;
  std::span<const std::uint8_t> judged_;  // empty in files without
  bool has_judgements_ = false;
  bool paired_ = false;
};

}  // namespace metier::format

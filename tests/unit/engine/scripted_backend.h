// tests/unit/engine/scripted_backend.h - Backends whose most likely next token is written down, or
// drawn from a table: what sessions and generation are tested on.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "model/backend.h"

namespace metier::engine::test {

class ScriptedBackend : public model::Backend {
 public:
  // After n tokens in all, script[n - 1] is next (the last entry for ever after).
  ScriptedBackend(std::int64_t vocab, std::int64_t max_positions,
                  std::vector<model::TokenId> script)
      : script_(std::move(script)) {
    spec_.family = "scripted";
    spec_.vocab = vocab;
    spec_.max_positions = max_positions;
  }

  const model::ModelSpec& spec() const override { return spec_; }
  Result<model::SequenceId> OpenSequence(model::AdapterId) override {
    const model::SequenceId id{next_++};
    lengths_[id] = 0;
    return id;
  }
  void CloseSequence(model::SequenceId sequence) override { lengths_.erase(sequence); }
  std::int64_t Length(model::SequenceId sequence) const override { return lengths_.at(sequence); }
  void Truncate(model::SequenceId sequence, std::int64_t tokens) override {
    lengths_.at(sequence) = tokens;
  }
  Result<model::AdapterId> AddAdapter(const model::Adapter&) override {
    return Error(ErrorCode::kUnsupported, "no adapters");
  }
  Status RemoveAdapter(model::AdapterId) override { return Ok(); }

  Result<std::span<const model::Rows>> Forward(
      std::span<const model::SequenceStep> steps) override {
    const auto vocab = static_cast<std::size_t>(spec_.vocab);
    const auto wanted = [](const model::SequenceStep& step) {
      return step.want == model::Want::kAll ? step.tokens.size() : 1;
    };
    std::size_t count = 0;
    for (const model::SequenceStep& step : steps) count += wanted(step);
    logits_.assign(count * vocab, 0.0F);
    std::span<float> left = logits_;
    rows_.clear();
    for (const model::SequenceStep& step : steps) {
      std::int64_t& length = lengths_.at(step.sequence);
      computed_ += step.tokens.size();
      length += static_cast<std::int64_t>(step.tokens.size());
      const std::size_t its = wanted(step);
      for (std::size_t row = 0; row < its; ++row) {
        const std::size_t behind = its - row - 1;
        Fill(static_cast<std::size_t>(length) - behind,
             step.tokens[step.tokens.size() - behind - 1], left.subspan(row * vocab, vocab));
      }
      rows_.push_back({static_cast<std::int64_t>(its), spec_.vocab, left.first(its * vocab)});
      left = left.subspan(its * vocab);
    }
    return std::span<const model::Rows>(rows_);
  }

  std::size_t computed() const { return computed_; }  // tokens that went through Forward
  std::size_t open() const { return lengths_.size(); }

 protected:
  // Logits after `length` tokens, of which `last` is the last. Given: zeros.
  virtual void Fill(std::size_t length, model::TokenId /*last*/, std::span<float> logits) const {
    logits[static_cast<std::size_t>(script_[std::min(length, script_.size()) - 1])] = 10.0F;
  }

 private:
  model::ModelSpec spec_;
  std::vector<model::TokenId> script_;
  std::map<model::SequenceId, std::int64_t> lengths_;
  std::vector<float> logits_;
  std::vector<model::Rows> rows_;
  std::int64_t next_ = 0;
  std::size_t computed_ = 0;
};

// A chain: each of a few tokens may follow each other with a probability of its own.
class ChainBackend : public ScriptedBackend {
 public:
  // Tokens first..first + count; logits: [count, count], after each of them.
  ChainBackend(std::int64_t vocab, model::TokenId first, std::vector<std::vector<float>> logits)
      : ScriptedBackend(vocab, 100, {first}), first_(first), logits_(std::move(logits)) {}

 protected:
  void Fill(std::size_t /*length*/, model::TokenId last, std::span<float> logits) const override {
    std::fill(logits.begin(), logits.end(), -std::numeric_limits<float>::infinity());
    const std::vector<float>& row = logits_[static_cast<std::size_t>(last - first_)];
    std::copy(row.begin(), row.end(), logits.begin() + first_);
  }

 private:
  model::TokenId first_;
  std::vector<std::vector<float>> logits_;
};

}  // namespace metier::engine::test

// tests/unit/engine/scripted_backend.h - a Backend whose most likely next token is written down:
// what sessions and generation are tested on.
#pragma once

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

  Result<std::vector<model::Rows>> Forward(std::span<const model::SequenceStep> steps) override {
    const auto vocab = static_cast<std::size_t>(spec_.vocab);
    const auto wanted = [](const model::SequenceStep& step) {
      return step.want == model::Want::kAll ? step.tokens.size() : 1;
    };
    std::size_t count = 0;
    for (const model::SequenceStep& step : steps) count += wanted(step);
    logits_.assign(count * vocab, 0.0F);
    std::span<float> left = logits_;
    std::vector<model::Rows> rows;
    for (const model::SequenceStep& step : steps) {
      std::int64_t& length = lengths_.at(step.sequence);
      computed_ += step.tokens.size();
      length += static_cast<std::int64_t>(step.tokens.size());
      const std::size_t its = wanted(step);
      for (std::size_t row = 0; row < its; ++row) {
        const std::size_t at = static_cast<std::size_t>(length) - its + row;
        left[row * vocab + static_cast<std::size_t>(script_[std::min(at, script_.size() - 1)])] =
            10.0F;
      }
      rows.push_back({static_cast<std::int64_t>(its), spec_.vocab, left.first(its * vocab)});
      left = left.subspan(its * vocab);
    }
    return rows;
  }

  std::size_t computed() const { return computed_; }  // tokens that went through Forward
  std::size_t open() const { return lengths_.size(); }

 private:
  model::ModelSpec spec_;
  std::vector<model::TokenId> script_;
  std::map<model::SequenceId, std::int64_t> lengths_;
  std::vector<float> logits_;
  std::int64_t next_ = 0;
  std::size_t computed_ = 0;
};

}  // namespace metier::engine::test

// tests/unit/engine/proposing.h - proposers that know the answer, and a backend that counts.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/native_backend.h"
#include "engine/proposer.h"
#include "model/family.h"
#include "tiny_models.h"

namespace metier::engine::test {

// Proposes an answer that is known beforehand, with `offset` added to every nth token.
class Knowing : public Proposer {
 public:
  Knowing(std::vector<text::TokenId> answer, std::int64_t vocab, int offset, std::size_t every = 1)
      : answer_(std::move(answer)),
        vocab_(static_cast<int>(vocab)),
        offset_(offset),
        every_(every) {}

  void Begin(std::span<const text::TokenId> /*tokens*/) override { said_ = 0; }
  void Extend(std::span<const text::TokenId> tokens) override { said_ += tokens.size(); }
  Result<std::vector<text::TokenId>> Propose(std::int64_t most, const Sampler&) override {
    std::vector<text::TokenId> proposals;
    for (std::size_t i = said_; i < answer_.size() && std::ssize(proposals) < most; ++i)
      proposals.push_back((answer_[i] + (i % every_ == every_ - 1 ? offset_ : 0)) % vocab_);
    return proposals;
  }

 private:
  std::vector<text::TokenId> answer_;
  int vocab_;
  int offset_;
  std::size_t every_;
  std::size_t said_ = 0;
};

// Proposes more than it is asked for, or ids that do not exist, or fails.
class Broken : public Proposer {
 public:
  explicit Broken(Result<std::vector<text::TokenId>> says) : says_(std::move(says)) {}
  void Begin(std::span<const text::TokenId> /*tokens*/) override {}
  void Extend(std::span<const text::TokenId> /*tokens*/) override {}
  Result<std::vector<text::TokenId>> Propose(std::int64_t, const Sampler&) override {
    return says_;
  }

 private:
  Result<std::vector<text::TokenId>> says_;
};

// Counts passes, and can refuse those of more than `most` tokens for one sequence.
class CountingBackend : public NativeBackend {
 public:
  using NativeBackend::NativeBackend;

  Result<std::span<const model::Rows>> Forward(
      std::span<const model::SequenceStep> steps) override {
    ++passes;
    for (const model::SequenceStep& step : steps) {
      if (step.tokens.size() > most)
        return Error(ErrorCode::kResourceExhausted, "more tokens than there is room for");
    }
    return NativeBackend::Forward(steps);
  }

  int passes = 0;
  std::size_t most = SIZE_MAX;
};

// The model of other random numbers, of another vocabulary where one is given.
inline std::shared_ptr<const NativeModel> OtherModel(model::ModelSpec spec, std::int64_t vocab) {
  spec.vocab = vocab;
  auto model = NativeModel::FromReader(spec, [&](const std::string& name) {
    return model::RandomParameter(spec, name, kSeed + 1, kScale);
  });
  EXPECT_TRUE(model.ok()) << model.error().message();
  return std::move(model).value();
}

}  // namespace metier::engine::test

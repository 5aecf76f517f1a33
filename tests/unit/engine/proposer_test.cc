#include "engine/proposer.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "engine/draft_model.h"
#include "engine/prompt_lookup.h"
#include "proposing.h"
#include "scripted_backend.h"
#include "support/fixtures.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using text::TokenId;
using Tokens = std::vector<TokenId>;

const Sampler kGreedy{SamplerOptions{.temperature = 0}};

TEST(PromptLookup, ProposesWhatFollowedTheLongestMatch) {
  PromptLookup lookup({.min_match = 1, .max_match = 3});
  lookup.Begin(Tokens{1, 2, 3, 40, 41, 9, 2, 3, 50, 51, 8, 3, 60, 61, 1, 2, 3});
  EXPECT_EQ(lookup.Propose(2, kGreedy).value(), (Tokens{40, 41}));
  lookup.Begin(Tokens{1, 2, 3, 40, 41, 9, 2, 3, 50, 51, 8, 3, 60, 61, 7, 2, 3});
  EXPECT_EQ(lookup.Propose(3, kGreedy).value(), (Tokens{50, 51, 8}));
  lookup.Begin(Tokens{1, 2, 3, 40, 41, 9, 2, 3, 50, 51, 8, 3, 60, 61, 7, 7, 3});
  EXPECT_EQ(lookup.Propose(1, kGreedy).value(), (Tokens{60}));
}

TEST(PromptLookup, OfEquallyLongMatchesTheNewest) {
  PromptLookup lookup;
  lookup.Begin(Tokens{1, 2, 10, 1, 2, 20, 1, 2, 30, 1, 2});
  EXPECT_EQ(lookup.Propose(1, kGreedy).value(), (Tokens{30}));
}

TEST(PromptLookup, NothingWithoutAMatchOfTheLeastLength) {
  PromptLookup lookup;
  lookup.Begin(Tokens{5});
  EXPECT_TRUE(lookup.Propose(4, kGreedy).value().empty());
  lookup.Begin(Tokens{1, 2, 3, 2, 4, 3});  // single tokens repeat, no two in a row do
  EXPECT_TRUE(lookup.Propose(4, kGreedy).value().empty());
  lookup.Begin(Tokens{1, 2, 3});  // what a text before contained is forgotten
  EXPECT_TRUE(lookup.Propose(4, kGreedy).value().empty());
}

TEST(PromptLookup, AMatchThatReachesTheEndRepeats) {
  PromptLookup lookup;
  lookup.Begin(Tokens{7, 1, 2, 3, 1, 2, 3});
  EXPECT_EQ(lookup.Propose(7, kGreedy).value(), (Tokens{1, 2, 3, 1, 2, 3, 1}));
}

// A long text token by token, against a search through all of it.
TEST(PromptLookup, FindsWhatASearchFinds) {
  PromptLookup lookup({.min_match = 2, .max_match = 4});
  Rng rng(3);
  Tokens tokens;
  const auto search = [&]() -> std::size_t {
    for (std::size_t n = 4; n >= 2; --n) {
      for (std::size_t end = tokens.size() - 1; tokens.size() > n && end >= n; --end) {
        const auto at = tokens.begin() + static_cast<std::ptrdiff_t>(end - n);
        if (std::equal(tokens.end() - static_cast<std::ptrdiff_t>(n), tokens.end(), at)) return end;
      }
    }
    return 0;
  };
  std::size_t found = 0;
  lookup.Begin({});
  for (int i = 0; i < 600; ++i) {
    tokens.push_back(static_cast<TokenId>(rng.Below(12)));
    lookup.Extend({&tokens.back(), 1});
    const std::size_t end = search();
    const Tokens proposals = lookup.Propose(1, kGreedy).value();
    ASSERT_EQ(proposals, end == 0 ? Tokens{} : Tokens{tokens[end]}) << i;
    found += proposals.size();
  }
  EXPECT_GT(found, 300U);
}

TEST(DraftModel, SaysWhatItsBackendWould) {
  ScriptedBackend backend(50, 8, {10, 11, 12, 13, 14, 15, 16, 17});
  {
    ASSERT_OK_AND_ASSIGN(const auto draft, DraftModel::Create(backend, 50));
    draft->Begin(Tokens{1, 2});
    EXPECT_EQ(draft->Propose(3, kGreedy).value(), (Tokens{11, 12, 13}));
    EXPECT_EQ(backend.computed(), 4U);  // the last proposal is not
    // The first was right, then came another: what followed is computed once more, no more.
    draft->Extend(Tokens{11, 40});
    EXPECT_EQ(draft->Propose(2, kGreedy).value(), (Tokens{13, 14}));
    EXPECT_EQ(backend.computed(), 6U);
    // All were right: the last of them is new to it, with what came after.
    draft->Extend(Tokens{13, 14, 15});
    EXPECT_EQ(draft->Propose(9, kGreedy).value(), (Tokens{16, 17}));  // its last position
    EXPECT_EQ(backend.computed(), 9U);
    draft->Extend(Tokens{16, 17});
    EXPECT_TRUE(draft->Propose(9, kGreedy).value().empty());
    draft->Begin(Tokens{1});
    EXPECT_EQ(draft->Propose(1, kGreedy).value(), (Tokens{10}));
    EXPECT_EQ(backend.open(), 1U);
  }
  EXPECT_EQ(backend.open(), 0U);
}

TEST(DraftModel, RefusesAnotherVocabulary) {
  ScriptedBackend backend(50, 8, {1});
  EXPECT_ERROR(DraftModel::Create(backend, 51), ErrorCode::kInvalidArgument, "51");
  EXPECT_ERROR(DraftModel::Create(backend, 50, {.temperature = -1}), ErrorCode::kInvalidArgument,
               "temperature");
  const model::ModelSpec encoder = model::FindFamily("bert").value()->tiny();
  NativeBackend bert(RandomModel(encoder), {.threads = 1});
  EXPECT_ERROR(DraftModel::Create(bert, encoder.vocab), ErrorCode::kInvalidArgument, "encoder");
}

TEST(DraftModel, ProposesNothingWithoutMemory) {
  const model::ModelSpec spec = TinySpec(*model::FindFamily("llama").value());
  CountingBackend backend(RandomModel(spec), {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const auto draft, DraftModel::Create(backend, spec.vocab));
  draft->Begin(Tokens{1, 2, 3});
  backend.most = 2;
  EXPECT_TRUE(draft->Propose(4, kGreedy).value().empty());
  backend.most = 3;
  EXPECT_EQ(draft->Propose(4, kGreedy).value().size(), 4U);
  draft->Extend(Tokens{static_cast<TokenId>(spec.vocab)});
  EXPECT_ERROR(draft->Propose(4, kGreedy), ErrorCode::kInvalidArgument, "the draft model: ");
}

TEST(DraftModel, DrawsFromAStreamOfItsOwn) {
  const model::ModelSpec spec = TinySpec(*model::FindFamily("llama").value());
  NativeBackend backend(RandomModel(spec), {.threads = 1});
  const auto drawn = [&](std::uint64_t seed, std::uint64_t of_request) {
    auto draft = DraftModel::Create(backend, spec.vocab, {.temperature = 2.0, .seed = seed});
    const Sampler sampler(SamplerOptions{.seed = of_request});
    (*draft)->Begin(Tokens{1, 2, 3});
    Tokens all = (*draft)->Propose(6, sampler).value();
    const Tokens more = (*draft)->Propose(6, sampler).value();
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Tokens first = drawn(1, 1);
  EXPECT_EQ(first, drawn(1, 2));
  EXPECT_NE(first, drawn(2, 1));
  EXPECT_NE(Tokens(first.begin(), first.begin() + 6), Tokens(first.begin() + 6, first.end()));
}

}  // namespace
}  // namespace metier::engine::test

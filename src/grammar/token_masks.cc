#include "grammar/token_masks.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"
#include "grammar/json/shapes.h"

namespace metier::grammar {
namespace {

// Frames that are known by themselves, at most: each may cost a mask.
constexpr std::size_t kMostAlone = 1 << 11;

void AddBit(std::span<std::uint64_t> words, TokenId id) {
  words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
}

}  // namespace

void TokenMasks::AddTokens(const VocabularyTrie& trie, const VocabularyTrie::Node& node,
                           std::vector<TokenId>& tokens) {
  for (std::int32_t t = node.tokens; t >= 0;) {
    const VocabularyTrie::Token& token = trie.own_tokens()[static_cast<std::size_t>(t)];
    tokens.push_back(token.id);
    t = token.more ? t + 1 : -1;
  }
}

void TokenMasks::Walk(const VocabularyTrie& trie, Configurations::Id from,
                      std::vector<TokenId>& tokens) {
  const std::span<const VocabularyTrie::Node> nodes = trie.nodes();
  path_.resize(static_cast<std::size_t>(trie.longest()) + 1);
  path_[0] = from;
  for (std::size_t at = 0; at < nodes.size();) {
    const VocabularyTrie::Node& node = nodes[at];
    const Configurations::Id next = configurations_.Next(path_[node.depth], node.byte);
    if (next == Configurations::kNone) {
      at = static_cast<std::size_t>(node.skip);
      continue;
    }
    path_[node.depth + 1U] = next;
    AddTokens(trie, node, tokens);
    ++at;
  }
}

void TokenMasks::WalkBelow(std::span<const std::int32_t> nodes, Configurations::Id from,
                           std::vector<TokenId>& tokens) {
  const std::span<const VocabularyTrie::Node> all = trie_.nodes();
  path_.resize(static_cast<std::size_t>(trie_.longest()) + 1);
  path_[0] = from;
  auto wanted = nodes.begin();
  std::int32_t end = 0;  // of what is below the last wanted node that was met
  for (std::int32_t at = 0; wanted != nodes.end() || at < end;) {
    const VocabularyTrie::Node& node = all[static_cast<std::size_t>(at)];
    if (wanted != nodes.end() && *wanted == at) {
      end = node.skip;
      ++wanted;
    }
    const bool on_the_way = at < end || *wanted < node.skip;
    const Configurations::Id next =
        on_the_way ? configurations_.Next(path_[node.depth], node.byte) : Configurations::kNone;
    if (next == Configurations::kNone) {
      while (wanted != nodes.end() && *wanted < node.skip) ++wanted;
      at = node.skip;
      continue;
    }
    path_[node.depth + 1U] = next;
    if (at < end) AddTokens(trie_, node, tokens);
    ++at;
  }
}

const TokenMasks::Alone* TokenMasks::AloneOf(const Frame& frame) {
  Frame roomy = frame;
  roomy.room = machine_.room();
  const Configurations::Id from = configurations_.Alone(roomy);
  const auto known = alone_.find(from);
  if (known != alone_.end()) return &known->second;
  if (alone_.size() >= kMostAlone) return nullptr;
  Alone& alone = alone_[from];
  std::vector<TokenId> tokens;
  const std::span<const VocabularyTrie::Node> nodes = trie_.nodes();
  path_.resize(static_cast<std::size_t>(trie_.longest()) + 1);
  path_[0] = from;
  std::vector<bool> left(path_.size());  // whether so many bytes can have left the frame
  for (std::int32_t at = 0; at < static_cast<std::int32_t>(nodes.size());) {
    const VocabularyTrie::Node& node = nodes[static_cast<std::size_t>(at)];
    const Configurations::Id next = configurations_.Next(path_[node.depth], node.byte);
    if (next == Configurations::kNone) {
      if (left[node.depth]) alone.leaving.push_back(at);
      at = node.skip;
      continue;
    }
    path_[node.depth + 1U] = next;
    left[node.depth + 1U] = left[node.depth] || configurations_.Complete(next);
    for (const Configurations::Element& element : configurations_.ElementsOf(next)) {
      const std::int32_t room = configurations_.FrameOf(element).room;
      alone.deepest = std::max(alone.deepest, machine_.room() - room);
    }
    AddTokens(trie_, node, tokens);
    ++at;
  }
  alone.words.assign(static_cast<std::size_t>((trie_.vocab() + 63) / 64), 0);
  for (const TokenId id : tokens) AddBit(alone.words, id);
  return &alone;
}

std::vector<Configurations::Element> TokenMasks::AddAlone(
    std::vector<Configurations::Element> elements, Entry& entry) {
  std::vector<Configurations::Element> others;
  for (const Configurations::Element& element : elements) {
    const Frame frame = configurations_.FrameOf(element);
    const Alone* alone = AloneOf(frame);
    if (alone == nullptr || frame.room < alone->deepest + machine_.EnoughRoom()) {
      others.push_back(element);
      continue;
    }
    WalkBelow(alone->leaving, configurations_.Of({element}), entry.more);
    if (entry.base.empty() && entry.words.empty()) {
      entry.base = alone->words;
      continue;
    }
    if (entry.words.empty()) entry.words.assign(entry.base.begin(), entry.base.end());
    for (std::size_t i = 0; i < entry.words.size(); ++i) entry.words[i] |= alone->words[i];
  }
  return others;
}

TokenMasks::Entry TokenMasks::Compute(Configurations::Id near) {
  Entry entry;
  std::vector<Configurations::Element> in_text;
  std::vector<Configurations::Element> in_name;
  std::vector<Configurations::Element> others;
  std::optional<std::int32_t> most;  // of a text's characters; negative: any number
  for (const Configurations::Element& element : configurations_.ElementsOf(near)) {
    const auto any = machine_.InAnyString(configurations_.FrameOf(element));
    if (!any) {
      others.push_back(element);
      continue;
    }
    if (any->one_spelling) {
      in_name.push_back(element);
      continue;
    }
    in_text.push_back(element);
    const bool endless = any->most < 0 || (most && *most < 0);
    most = endless ? -1 : std::max(most.value_or(0), any->most);
  }
  if (most) {
    entry.base = texts_.Inside(*most);
    Walk(texts_.closing(), configurations_.Of(std::move(in_text)), entry.more);
    others.insert(others.end(), in_name.begin(), in_name.end());
  } else if (!in_name.empty()) {
    entry.base = names_.Inside(kUnlimited);
    Walk(names_.closing(), configurations_.Of(std::move(in_name)), entry.more);
  }
  if (machine_.EnoughRoom() > 0) others = AddAlone(std::move(others), entry);
  if (!others.empty()) Walk(trie_, configurations_.Of(std::move(others)), entry.more);
  // As words where those are smaller.
  const auto words = static_cast<std::size_t>((trie_.vocab() + 63) / 64);
  if (!entry.words.empty() || entry.more.size() * sizeof(TokenId) > words * sizeof(std::uint64_t)) {
    if (entry.words.empty()) {
      entry.words.assign(words, 0);
      if (!entry.base.empty()) std::ranges::copy(entry.base, entry.words.begin());
    }
    for (const TokenId id : entry.more) AddBit(entry.words, id);
    entry.base = {};
    entry.more = {};
  }
  return entry;
}

void TokenMasks::Fill(Configurations::Id id, std::span<std::uint64_t> mask) {
  METIER_DCHECK(mask.size() == static_cast<std::size_t>((trie_.vocab() + 63) / 64),
                "a bit for each token");
  const Configurations::Id near = configurations_.Near(id, trie_.longest());
  auto found = entries_.find(near);
  if (found == entries_.end()) found = entries_.emplace(near, Compute(near)).first;
  const Entry& entry = found->second;
  const std::span<const std::uint64_t> base =
      entry.words.empty() ? entry.base : std::span<const std::uint64_t>(entry.words);
  if (base.empty()) {
    std::ranges::fill(mask, 0);
  } else {
    std::memcpy(mask.data(), base.data(), base.size_bytes());
  }
  for (const TokenId token : entry.more) AddBit(mask, token);
}

}  // namespace metier::grammar

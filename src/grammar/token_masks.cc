#include "grammar/token_masks.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "grammar/json/shapes.h"

namespace metier::grammar {

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
    for (std::int32_t t = node.tokens; t >= 0;) {
      const VocabularyTrie::Token& token = trie.own_tokens()[static_cast<std::size_t>(t)];
      tokens.push_back(token.id);
      t = token.more ? t + 1 : -1;
    }
    ++at;
  }
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
  if (!others.empty()) Walk(trie_, configurations_.Of(std::move(others)), entry.more);
  // As words where those are smaller.
  const auto words = static_cast<std::size_t>((trie_.vocab() + 63) / 64);
  if (entry.more.size() * sizeof(TokenId) > words * sizeof(std::uint64_t)) {
    entry.words.assign(words, 0);
    if (!entry.base.empty()) std::ranges::copy(entry.base, entry.words.begin());
    for (const TokenId id : entry.more)
      entry.words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
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
  for (const TokenId token : entry.more)
    mask[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

}  // namespace metier::grammar

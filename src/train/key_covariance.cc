#include "train/key_covariance.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/rng.h"

namespace metier::train {
namespace {

constexpr std::int64_t kPassTokens = 4096;

// The texts' tokens as batches of sequences.
std::vector<std::vector<Ids>> BatchesOfTexts(const std::vector<Ids>& texts, const Ids& begin,
                                             std::int64_t longest) {
  const auto piece = static_cast<std::size_t>(longest) - begin.size();
  std::vector<std::vector<Ids>> batches(1);
  std::int64_t tokens = 0;
  for (const Ids& text : texts) {
    for (std::size_t at = 0; at < text.size(); at += piece) {
      Ids sequence = begin;
      const auto first = text.begin() + static_cast<std::ptrdiff_t>(at);
      const std::size_t length = std::min(piece, text.size() - at);
      sequence.insert(sequence.end(), first, first + static_cast<std::ptrdiff_t>(length));
      tokens += static_cast<std::int64_t>(sequence.size());
      batches.back().push_back(std::move(sequence));
      if (tokens < kPassTokens) continue;
      batches.emplace_back();
      tokens = 0;
    }
  }
  if (batches.back().empty()) batches.pop_back();
  return batches;
}

}  // namespace

Result<std::map<std::int64_t, at::Tensor>> KeyCovariances(
    const Network& network, const std::vector<Ids>& texts, const Ids& begin, std::int64_t longest,
    const std::vector<std::int64_t>& layers, double ridge,
    const std::function<bool(std::int64_t tokens)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  const std::int64_t hidden = network.spec().hidden;
  std::map<std::int64_t, at::Tensor> moments;
  for (const std::int64_t layer : layers) {
    moments[layer] = at::zeros(
        {hidden, hidden}, at::TensorOptions().dtype(at::kDouble).device(network.options().device));
  }
  Pass pass;
  pass.down = [&](const DownSite& site) {
    const auto moment = moments.find(site.layer);
    if (moment == moments.end()) return site.output;
    const at::Tensor keys = site.input.to(at::kDouble);
    moment->second.addmm_(keys.t(), keys);
    return site.output;
  };
  std::int64_t tokens = 0;
  for (const std::vector<Ids>& sequences : BatchesOfTexts(texts, begin, longest)) {
    const Batch batch = MakeBatch(sequences, {}, network.options().device);
    network.Hidden(batch, pass);
    tokens += batch.layout.tokens();
    if (on_tokens(tokens))
      return Error(ErrorCode::kInvalidArgument, "interrupted; nothing was written");
  }
  for (auto& [layer, moment] : moments) {
    if (tokens > 0) moment.div_(static_cast<double>(tokens));
    const auto mean = moment.diagonal().mean().item<double>();
    if (!(mean > 0)) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("layer {}: the mean square of its keys over {} tokens is {}, "
                               "expected more than 0; give other texts",
                               layer, tokens, mean));
    }
    moment.diagonal().add_(ridge * mean);
  }
  return moments;
}

Result<std::vector<Ids>> DrawPrefixes(const std::vector<Ids>& texts, std::int64_t count,
                                      std::int64_t tokens, std::uint64_t seed) {
  const auto length = static_cast<std::size_t>(tokens);
  std::vector<const Ids*> long_enough;
  for (const Ids& text : texts) {
    if (text.size() >= length) long_enough.push_back(&text);
  }
  if (count > 0 && long_enough.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("prefix_tokens {}: none of {} texts is as long; lower it", tokens,
                             texts.size()));
  }
  Rng rng(seed);
  std::vector<Ids> prefixes;
  for (std::int64_t i = 0; i < count; ++i) {
    const Ids& text = *long_enough[rng.Below(long_enough.size())];
    const auto first =
        text.begin() + static_cast<std::ptrdiff_t>(rng.Below(text.size() - length + 1));
    prefixes.emplace_back(first, first + static_cast<std::ptrdiff_t>(length));
  }
  return prefixes;
}

}  // namespace metier::train

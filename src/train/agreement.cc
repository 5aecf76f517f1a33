#include "train/agreement.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

namespace metier::train {
namespace {

struct Disagreement {
  std::string key;
  std::string first;
  std::string other;
};

// Where two documents differ first, with the path to it; nothing: nowhere.
std::optional<Disagreement> WhereTheyDiffer(const Json& first, const Json& other,
                                            const std::string& path) {
  if (!first.is_object() || !other.is_object()) {
    if (first == other) return std::nullopt;
    return Disagreement{path, DumpCompact(first), DumpCompact(other)};
  }
  const auto inside = [&path](const std::string& key) {
    return path.empty() ? key : path + "." + key;
  };
  for (const auto& [key, value] : first.items()) {
    const auto found = other.find(key);
    if (found == other.end()) return Disagreement{inside(key), DumpCompact(value), "none"};
    if (auto differs = WhereTheyDiffer(value, *found, inside(key))) return differs;
  }
  for (const auto& [key, value] : other.items())
    if (!first.contains(key)) return Disagreement{inside(key), "none", DumpCompact(value)};
  return std::nullopt;
}

Json ListOf(PolicyCounts counts) {
  std::vector<double> values;
  counts.Visit([&](double value) { values.push_back(value); });
  return values;
}

void AddTo(PolicyCounts& sum, const Json& values) {
  std::size_t next = 0;
  sum.Visit([&](double& value) { value += values.at(next++).get<double>(); });
}

Json CountsOf(const Tally& tally) {
  Json counts = {{"right", tally.rewards.right},
                 {"all", tally.rewards.all},
                 {"margin", tally.rewards.margin},
                 {"choices_over", tally.choices_over},
                 {"policy", ListOf(tally.policy)}};
  if (!tally.expert_tokens.defined()) return counts;
  const at::Tensor tokens = tally.expert_tokens.contiguous();
  const auto* values = tokens.data_ptr<std::int64_t>();
  counts["shape"] = tokens.sizes().vec();
  counts["expert_tokens"] = std::vector<std::int64_t>(values, values + tokens.numel());
  return counts;
}

}  // namespace

Status AgreeOn(Workers& workers, const Json& own) {
  if (workers.alone()) return Ok();
  METIER_ASSIGN(const std::vector<std::string> texts, workers.Gather(DumpCompact(own)));
  METIER_ASSIGN(const Json first, ParseJson(texts.front()));
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    METIER_ASSIGN(const Json other, ParseJson(texts[rank]));
    const auto differs = WhereTheyDiffer(first, other, "");
    if (!differs) continue;
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("worker {} differs from worker 0 in {}: {}, worker 0 has {}; start all "
                    "with one configuration, the same files and the same program",
                    rank, differs->key, differs->other, differs->first));
  }
  return Ok();
}

Status SumTally(Workers& workers, Tally& tally) {
  if (workers.alone()) return Ok();
  METIER_ASSIGN(const std::vector<std::string> texts, workers.Gather(DumpCompact(CountsOf(tally))));
  Tally sum;
  for (const std::string& text : texts) {
    METIER_ASSIGN(const Json counts, ParseJson(text));
    sum.rewards.right += counts.at("right").get<std::int64_t>();
    sum.rewards.all += counts.at("all").get<std::int64_t>();
    sum.rewards.margin += counts.at("margin").get<double>();
    AddTo(sum.policy, counts.at("policy"));
    sum.choices_over += counts.at("choices_over").get<std::int64_t>();
    if (!counts.contains("shape")) continue;  // it had no batch
    const at::Tensor tokens =
        torch::tensor(counts.at("expert_tokens").get<std::vector<std::int64_t>>(), at::kLong)
            .view(counts.at("shape").get<std::vector<std::int64_t>>());
    sum.expert_tokens = sum.expert_tokens.defined() ? sum.expert_tokens + tokens : tokens;
  }
  sum.routing = tally.routing;
  sum.penalty = tally.penalty;  // of the same weights
  tally = sum;
  return Ok();
}

}  // namespace metier::train

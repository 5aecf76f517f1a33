// metier parity: do the native engine and LibTorch compute the same function?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/rng.h"
#include "cli/loaded_model.h"
#include "cli/model_path.h"
#include "cli/token_file.h"
#include "cli/torch_rows.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

struct ParityOptions {
  std::string model;
  std::string adapter;
  std::string tokens;
  std::string sequence;
  std::int64_t length = 32;
  std::int64_t seed = 1;
  double tolerance = 1e-3;
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file").Required();
    field("adapter", adapter, "PEFT adapter or mixture directory to put on top");
    field("tokens", tokens, "JSON file with token ids; without it random ones");
    field("sequence", sequence, "which of the file's named lists");
    field("length", length, "how many random tokens").AtLeast(1);
    field("seed", seed, "of the random tokens").AtLeast(0);
    field("tolerance", tolerance, "largest difference of any value that is still the same")
        .AtLeast(0);
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

Result<std::vector<model::TokenId>> Tokens(const ParityOptions& options,
                                           const model::ModelSpec& spec) {
  if (!options.tokens.empty()) return ReadTokenFile(options.tokens, options.sequence);
  Rng rng(static_cast<std::uint64_t>(options.seed));
  std::vector<model::TokenId> tokens(
      static_cast<std::size_t>(std::min(options.length, spec.max_positions)));
  for (model::TokenId& token : tokens) {
    token = static_cast<model::TokenId>(rng.Below(static_cast<std::uint64_t>(spec.vocab)));
  }
  return tokens;
}

struct Difference {
  double largest = 0;
  std::int64_t at_token = 0;
  double sum_of_squares = 0;
  std::int64_t values = 0;
  std::int64_t same_best = 0;  // rows whose largest value stands at the same place
};

std::int64_t BestOf(std::span<const float> row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

void Compare(std::span<const float> native, std::span<const float> torch, std::int64_t token,
             Difference& difference) {
  for (std::size_t i = 0; i < native.size(); ++i) {
    const double apart = std::abs(static_cast<double>(native[i]) - torch[i]);
    difference.sum_of_squares += apart * apart;
    if (!(apart <= difference.largest)) {  // a NaN is never the same
      difference.largest = apart;
      difference.at_token = token;
    }
  }
  difference.values += static_cast<std::int64_t>(native.size());
  difference.same_best += BestOf(native) == BestOf(torch) ? 1 : 0;
}

Result<Outcome> Parity(const ParityOptions& options, Console& console) {
  METIER_ASSIGN(const ModelPath place, ResolveModelPath(options.model, options.adapter));
  METIER_ASSIGN(
      const specialist::LoadedModel loaded,
      LoadModel(place.base, place.adapter, {.threads = static_cast<int>(options.threads)}));
  METIER_ASSIGN(const std::vector<model::TokenId> tokens, Tokens(options, loaded.backend->spec()));
  METIER_ASSIGN(const TorchRows torch, ComputeTorchRows({.model = place.base,
                                                         .adapter = place.adapter,
                                                         .tokens = tokens,
                                                         .threads = options.threads}));
  const auto width = static_cast<std::size_t>(RowWidth(loaded.backend->spec()));
  if (torch.values.size() != width * tokens.size()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("LibTorch gave {} values, the native engine {} x {}",
                             torch.values.size(), tokens.size(), width));
  }
  Difference difference;
  std::size_t row = 0;
  METIER_TRY(ForEachRow(loaded, tokens, [&](const model::Rows& part) {
    for (std::int64_t i = 0; i < part.count; ++i, ++row) {
      Compare(part.Row(i), torch.values.subspan(row * width, width), static_cast<std::int64_t>(row),
              difference);
    }
    return Ok();
  }));
  const bool same = difference.largest <= options.tolerance;
  console.PrintFacts({{"model", options.model},
                      {"tokens", tokens.size()},
                      {"largest_difference", difference.largest},
                      {"at_token", difference.at_token},
                      {"rms_difference", std::sqrt(difference.sum_of_squares /
                                                   static_cast<double>(difference.values))},
                      {"same_best", difference.same_best},
                      {"tolerance", options.tolerance},
                      {"same", same}});
  return same ? Outcome::kSuccess : Outcome::kWorkFailed;
}

}  // namespace

constinit const Verb kParityVerb = MakeVerb<ParityOptions, Parity>(
    "parity", "do the native engine and LibTorch compute the same?",
    "metier parity models/Qwen2.5-0.5B-Instruct\n"
    "metier parity model.gguf --tokens tokens.json --tolerance 1e-4 --json");

}  // namespace metier::cli

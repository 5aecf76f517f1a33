// metier bench: speed and memory of a model on this machine, and what the machine could do at most.
#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/engine_flags.h"
#include "cli/model_path.h"
#include "cli/verbs/verbs.h"
#include "engine/machine_speed.h"
#include "engine/model_speed.h"

namespace metier::cli {
namespace {

struct BenchOptions {
  std::string model;
  bool machine = false;
  std::string adapter;
  std::int64_t prompt_tokens = 512;
  std::int64_t new_tokens = 64;
  std::int64_t past_tokens = 0;
  std::string streams = "1,2,4,8,16";
  std::int64_t adapters = 0;
  std::int64_t rank = 16;
  std::int64_t routed = 0;
  std::int64_t repeats = 5;
  std::int64_t seed = 1;
  EngineFlags engine;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "model directory, specialist or .gguf file");
    field("machine", machine, "measure only the machine: its memory and its arithmetic");
    field("adapter", adapter, "PEFT adapter directory to put on top");
    field("prompt-tokens", prompt_tokens, "length of the prompt; 0: no prompt is measured")
        .AtLeast(0);
    field("new-tokens", new_tokens, "tokens that each stream decodes; 0: none are measured")
        .AtLeast(0);
    field("past-tokens", past_tokens, "tokens that a stream has in its cache before it decodes")
        .AtLeast(0);
    field("streams", streams, "how many sequences decode together, several counts with commas");
    field("adapters", adapters,
          "also decode with so many random LoRA adapters on every linear, one for each stream")
        .AtLeast(0)
        .AtMost(1024);
    field("rank", rank, "of the random adapters").AtLeast(1).AtMost(4096);
    field(
        "routed", routed,
        "adapters for each token, chosen by random routers from a mixture of all of them, instead "
        "of one for each stream; 0: no mixture")
        .AtLeast(0)
        .AtMost(8);
    field("repeats", repeats, "measurements of everything; the median counts")
        .AtLeast(1)
        .AtMost(1000);
    field("seed", seed, "of the random tokens and adapters").AtLeast(0);
    engine.Visit(field);
  }
};

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr double kGiga = 1e9;

Result<std::vector<std::int64_t>> ParseStreams(const std::string& text) {
  constexpr std::int64_t kMostStreams = 1024;
  std::vector<std::int64_t> counts;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    std::int64_t count = 0;
    const auto [next, failed] = std::from_chars(at, end, count);
    if (failed != std::errc() || count < 1 || count > kMostStreams || (next != end && *next != ','))
      break;
    counts.push_back(count);
    if (next == end) return counts;
    at = next + 1;
  }
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--streams: found \"{}\", expected counts from 1 to {} with commas, such "
                  "as 1,4,16",
                  text, kMostStreams));
}

Json ToJson(const engine::Spread& spread) {
  return {{"median", spread.median}, {"least", spread.least}, {"most", spread.most}};
}

double Slowdown(const engine::Spread& plain, const engine::Spread& adapted) {
  return plain.median / adapted.median;
}

double MemoryRatio(const engine::ModelSpeed& speed) {
  return static_cast<double>(speed.peak_bytes) /
         static_cast<double>(speed.weight_bytes + speed.cache_bytes);
}

Json ToJson(const BenchOptions& options, const engine::ModelSpeed& speed) {
  Json document = {{"model", options.model},
                   {"isa", speed.isa},
                   {"threads", speed.threads},
                   {"parameters", speed.parameters},
                   {"load_seconds", speed.load_seconds},
                   {"first_token_seconds", speed.first_token_seconds},
                   {"prompt", nullptr},
                   {"decode", Json::array()},
                   {"weight_bytes", speed.weight_bytes},
                   {"weight_bytes_per_token", speed.token_bytes},
                   {"kv_cache", options.engine.kv_cache},
                   {"cache_bytes", speed.cache_bytes},
                   {"peak_bytes", speed.peak_bytes},
                   {"memory_ratio", MemoryRatio(speed)}};
  if (options.prompt_tokens > 0) {
    document["prompt"] = {{"tokens", options.prompt_tokens},
                          {"tokens_per_second", ToJson(speed.prompt_tokens_per_second)}};
    if (options.adapters > 0) {
      document["prompt"]["adapted_tokens_per_second"] = ToJson(speed.adapted_prompt);
      document["prompt"]["slowdown"] =
          Slowdown(speed.prompt_tokens_per_second, speed.adapted_prompt);
    }
  }
  for (const engine::DecodeSpeed& decode : speed.decode) {
    Json row = {{"streams", decode.streams},
                {"new_tokens", options.new_tokens},
                {"past_tokens", options.past_tokens},
                {"tokens_per_second", ToJson(decode.tokens_per_second)}};
    if (options.adapters > 0) {
      row["adapters"] = options.adapters;
      row["routed"] = options.routed;
      row["adapted_tokens_per_second"] = ToJson(decode.adapted);
      row["slowdown"] = Slowdown(decode.tokens_per_second, decode.adapted);
    }
    document["decode"].push_back(std::move(row));
  }
  if (speed.experts) document["expert_cache"] = ExpertCacheJson(*speed.experts);
  return document;
}

std::string ToText(const engine::Spread& spread) {
  return fmt::format("{:9.1f} tokens/s  ({:.1f} to {:.1f})", spread.median, spread.least,
                     spread.most);
}

std::string ToText(const BenchOptions& options, const engine::ModelSpeed& speed) {
  std::string text = fmt::format("{}: {:.1f} million parameters, {}, {} threads, median of {}\n\n",
                                 options.model, static_cast<double>(speed.parameters) / 1e6,
                                 speed.isa, speed.threads, options.repeats);
  const auto line = [&text](const std::string& what, const std::string& figure) {
    text += fmt::format("{:<28}{}\n", what, figure);
  };
  line("load", fmt::format("{:9.3f} s, first token after {:.3f} s", speed.load_seconds,
                           speed.load_seconds + speed.first_token_seconds));
  const auto adapted = [&](const std::string& with, const engine::Spread& plain,
                           const engine::Spread& changed) {
    if (options.adapters == 0) return;
    line("  with " + with,
         fmt::format("{}, {:.2f} times slower", ToText(changed), Slowdown(plain, changed)));
  };
  const std::string mixture =
      fmt::format("{} of {} adapters of {}", options.routed, options.adapters, options.rank);
  if (options.prompt_tokens > 0) {
    line(fmt::format("prompt of {}", options.prompt_tokens),
         ToText(speed.prompt_tokens_per_second));
    adapted(options.routed > 0 ? mixture : fmt::format("an adapter of {}", options.rank),
            speed.prompt_tokens_per_second, speed.adapted_prompt);
  }
  for (const engine::DecodeSpeed& decode : speed.decode) {
    const std::string streams =
        fmt::format("{} stream{}", decode.streams, decode.streams == 1 ? "" : "s");
    line("decode, " + streams, ToText(decode.tokens_per_second));
    adapted(options.routed > 0 ? mixture
                               : fmt::format("{} adapters of {}", options.adapters, options.rank),
            decode.tokens_per_second, decode.adapted);
  }
  line("weights", fmt::format("{:9.3f} GiB, {:.3f} GiB of them read for a token",
                              static_cast<double>(speed.weight_bytes) / kGiB,
                              static_cast<double>(speed.token_bytes) / kGiB));
  line("cache at most",
       fmt::format("{:9.3f} GiB, {}", static_cast<double>(speed.cache_bytes) / kGiB,
                   options.engine.kv_cache));
  if (speed.experts) line("experts", "    " + ExpertCacheText(*speed.experts));
  line("memory at most",
       fmt::format("{:9.3f} GiB, {:.2f} of weights and cache",
                   static_cast<double>(speed.peak_bytes) / kGiB, MemoryRatio(speed)));
  return text;
}

void PrintMachine(const BenchOptions& options, Console& console) {
  const engine::MachineSpeed speed =
      engine::MeasureMachine({.threads = options.engine.Resolve().threads});
  if (console.json()) {
    console.PrintJson({{"isa", speed.isa},
                       {"threads", speed.threads},
                       {"read_bytes_per_second", speed.read_bytes_per_second},
                       {"f32_operations_per_second", speed.f32_operations_per_second},
                       {"int8_operations_per_second", speed.int8_operations_per_second}});
    return;
  }
  console.Print(fmt::format(
      "{}, {} threads, the best of several passes\n\n"
      "reading memory  {:9.1f} GB/s\n"
      "f32 arithmetic  {:9.1f} GFLOP/s\n"
      "8-bit products  {:9.1f} GOP/s\n",
      speed.isa, speed.threads, speed.read_bytes_per_second / kGiga,
      speed.f32_operations_per_second / kGiga, speed.int8_operations_per_second / kGiga));
}

Result<Outcome> Bench(const BenchOptions& options, Console& console) {
  if (options.machine != options.model.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 options.machine ? "--machine measures no model; leave MODEL or --machine out"
                                 : "MODEL is missing; or give --machine to measure the machine");
  }
  if (options.machine) {
    PrintMachine(options, console);
    return Outcome::kSuccess;
  }
  METIER_ASSIGN(const std::vector<std::int64_t> streams, ParseStreams(options.streams));
  METIER_ASSIGN(const ModelPath place, ResolveModelPath(options.model, options.adapter));
  const specialist::LoadOptions load = options.engine.Resolve();
  std::optional<Progress> progress;
  METIER_ASSIGN(const engine::ModelSpeed speed,
                engine::MeasureModel({.model = place.base,
                                      .adapter = place.adapter,
                                      .threads = load.threads,
                                      .arithmetic = load.arithmetic,
                                      .kv_type = load.kv_type,
                                      .max_expert_bytes = load.max_expert_bytes,
                                      .prompt_tokens = options.prompt_tokens,
                                      .new_tokens = options.new_tokens,
                                      .past_tokens = options.past_tokens,
                                      .streams = streams,
                                      .adapters = options.adapters,
                                      .rank = options.rank,
                                      .routed = options.routed,
                                      .repeats = options.repeats,
                                      .seed = static_cast<std::uint64_t>(options.seed)},
                                     [&progress](std::uint64_t done, std::uint64_t total) {
                                       if (!progress) progress.emplace("bench", total);
                                       progress->Update(done);
                                     }));
  progress.reset();
  if (console.json()) {
    console.PrintJson(ToJson(options, speed));
  } else {
    console.Print(ToText(options, speed));
  }
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kBenchVerb =
    MakeVerb<BenchOptions, Bench>("bench", "speed and memory of a model on this machine",
                                  "metier bench model.gguf --streams 1,8\n"
                                  "metier bench model.gguf --adapters 8 --rank 16 --json\n"
                                  "metier bench model.gguf --adapters 8 --routed 2\n"
                                  "metier bench --machine");

}  // namespace metier::cli

// Reading a vocabulary: one object of n keys, as tokenizer.json holds it. Bytes a second must not
// fall with n.
#include <benchmark/benchmark.h>

#include <string>

#include "base/json.h"

namespace {

void ParseVocabulary(benchmark::State& state) {
  std::string text = "{";
  for (int i = 0; i < state.range(0); ++i)
    text += "\"token" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  text.back() = '}';
  for (auto _ : state) {
    auto parsed = metier::ParseJson(text);
    if (!parsed.ok()) state.SkipWithError("not parsed");
    benchmark::DoNotOptimize(parsed);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(ParseVocabulary)->Arg(1'000)->Arg(32'000)->Arg(256'000);

}  // namespace

// What the packed products cost in perplexity: weights as stored and multiplied by floats, packed
// and exact, packed and fast. One line a type is printed. METIER_PERPLEXITY_CHUNKS=38 takes every
// type and the whole text, as docs/benchmarks.md has it: of a few chunks the difference is mostly
// chance.
//
// stories260K is 64 wide, too narrow for blocks of 256 weights. A wider twin computes the same: 192
// channels and 84 hidden units more, all zero, norms halved and their epsilon quartered, for a mean
// over four times the channels. All of that is exact in floats.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "engine/sampler.h"
#include "engine/scoring.h"
#include "engine/session.h"
#include "fixture_models.h"
#include "format/encode_blocks.h"
#include "model/model_files.h"
#include "text/tokenizer.h"

namespace metier::parity {
namespace {

using engine::Arithmetic;
using engine::WeightLayout;
using tensor::DType;
using text::TokenId;

constexpr std::size_t kChunkTokens = 256;
constexpr std::int64_t kWidth = 256;
constexpr std::int64_t kHidden = 256;

using Chunks = std::vector<std::vector<TokenId>>;

// Of the second half of each chunk, as in stories_test.cc.
double Perplexity(model::Backend& backend, const Chunks& chunks) {
  double sum = 0;
  std::size_t count = 0;
  for (const std::vector<TokenId>& chunk : chunks) {
    const auto scores =
        engine::ScoreTokens(backend, chunk, {.first = static_cast<std::int64_t>(chunk.size() / 2)});
    EXPECT_OK(scores);
    for (const double score : *scores) sum -= score;
    count += scores->size();
  }
  return std::exp(sum / static_cast<double>(count));
}

struct Perplexities {
  double stored = 0;
  double packed = 0;
  double fast = 0;

  double PackedPercent() const { return 100 * (packed / stored - 1); }
  double FastPercent() const { return 100 * (fast / stored - 1); }
};

std::unique_ptr<engine::NativeBackend> OpenBackend(const std::string& path, WeightLayout layout,
                                                   Arithmetic arithmetic) {
  auto model = engine::NativeModel::Open(path, {}, {.layout = layout});
  EXPECT_OK(model);
  return std::make_unique<engine::NativeBackend>(std::move(model).value(),
                                                 engine::NativeOptions{.arithmetic = arithmetic});
}

Perplexities Measure(const std::string& name, const std::string& path, const Chunks& chunks) {
  const auto of = [&](WeightLayout layout, Arithmetic arithmetic) {
    return Perplexity(*OpenBackend(path, layout, arithmetic), chunks);
  };
  const Perplexities found{.stored = of(WeightLayout::kStored, Arithmetic::kExact),
                           .packed = of(WeightLayout::kPacked, Arithmetic::kExact),
                           .fast = of(WeightLayout::kPacked, Arithmetic::kFast)};
  fmt::print("{:<8} {:10.5f} {:+9.4f} % {:+9.4f} %\n", name, found.stored, found.PackedPercent(),
             found.FastPercent());
  return found;
}

const char* LongForm() { return std::getenv("METIER_PERPLEXITY_CHUNKS"); }
std::size_t MostChunks() {
  return LongForm() == nullptr ? 8 : std::strtoull(LongForm(), nullptr, 10);
}

std::vector<DType> Types() {
  if (LongForm() == nullptr) return {DType::kBF16, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K};
  return {format::EncodableTypes().begin(), format::EncodableTypes().end()};
}

class PackedPerplexity : public ::testing::TestWithParam<DType> {};

// The rows and columns that are not there are zero.
tensor::Tensor Widened(const tensor::Tensor& value, const tensor::Shape& shape, float factor) {
  tensor::Tensor wide(DType::kF32, shape);
  const auto columns = static_cast<std::size_t>(value.shape().back());
  const auto wide_columns = static_cast<std::size_t>(shape.back());
  for (std::size_t i = 0; i < value.f32().size(); ++i)
    wide.f32()[i / columns * wide_columns + i % columns] = factor * value.f32()[i];
  return wide;
}

void WriteWidened(const model::ModelFiles& files, DType dtype, const std::string& path) {
  model::ModelSpec spec = files.spec();
  ASSERT_EQ(kWidth, 4 * spec.width);
  spec.width = kWidth;
  spec.hidden = kHidden;
  spec.norm.epsilon /= 4;
  std::map<std::string, tensor::Shape> shapes;
  for (const model::Parameter& parameter : model::Parameters(spec))
    shapes[parameter.name] = parameter.shape;
  ASSERT_OK(model::WriteGgufModel(path, spec, {.dtype = dtype, .head_dtype = dtype}, {},
                                  [&](const std::string& name) -> Result<tensor::Tensor> {
                                    METIER_ASSIGN(const tensor::Tensor value, files.LoadF32(name));
                                    return Widened(value, shapes.at(name),
                                                   value.shape().size() == 1 ? 0.5F : 1.0F);
                                  }));
}

TEST_P(PackedPerplexity, OfARealModelIsThatOfStoredWeights) {
  METIER_NEEDS_SHARED(shared);
  const std::string fixture = shared + "/fixtures/stories260k";
  const std::string folder = Unpacked(fixture + "/model.tar.zst") + "/hf";
  ASSERT_OK_AND_ASSIGN(const text::Tokenizer tokenizer, text::LoadTokenizer(folder));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer.Encode(test::ReadAll(fixture + "/text_20k.txt"),
                                                        {.add_special = text::AddSpecial::kYes}));
  Chunks chunks;
  for (std::size_t begin = 0; begin + kChunkTokens <= ids.size() && chunks.size() < MostChunks();
       begin += kChunkTokens) {
    const auto from = ids.begin() + static_cast<std::ptrdiff_t>(begin);
    chunks.emplace_back(from, from + kChunkTokens).front() = tokenizer.special().bos;
  }
  const test::TempFolder written;
  const std::string path = written / "stories.gguf";
  ASSERT_OK_AND_ASSIGN(const auto files, model::ModelFiles::Open(folder));
  ASSERT_NO_FATAL_FAILURE(WriteWidened(files, GetParam(), path));
  const Perplexities found = Measure(std::string(tensor::InfoOf(GetParam()).name), path, chunks);
  if (GetParam() == DType::kF32) {
    const double narrow =
        Perplexity(*OpenBackend(folder, WeightLayout::kPacked, Arithmetic::kExact), chunks);
    EXPECT_NEAR(found.stored / narrow, 1, 1e-5) << "the wider twin is another model";
  }
  EXPECT_LE(std::abs(found.PackedPercent()), 0.001) << "a repack loses nothing";
  EXPECT_LE(std::abs(found.FastPercent()), tensor::IsQuantised(GetParam()) ? 0.5 : 0.1);
}

INSTANTIATE_TEST_SUITE_P(Types, PackedPerplexity, ::testing::ValuesIn(Types()),
                         [](const auto& tested) {
                           return std::string(tensor::InfoOf(tested.param).name);
                         });

// Random models find only what they say themselves likely: a text drawn from their exact weights.
Chunks TextOf(model::Backend& backend, std::size_t count) {
  Chunks chunks;
  for (std::size_t i = 0; i < count; ++i) {
    auto session = engine::Session::Open(backend);
    engine::Sampler sampler({.seed = 1, .stream = i});
    std::vector<TokenId> text = {static_cast<TokenId>(i)};
    while (text.size() < 96) {
      const auto logits = text.size() == 1 ? session->Set(text) : session->Append(text.back());
      EXPECT_OK(logits);
      text.push_back(sampler.Next(*logits)->token);
    }
    chunks.push_back(std::move(text));
  }
  return chunks;
}

std::vector<std::string> FixtureTypes() {
  if (LongForm() == nullptr) return {"Q4_K_M"};
  return {"F16",    "BF16",   "Q4_0",   "Q4_1", "Q5_0",   "Q8_0",  "Q2_K",
          "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"};
}

TEST(PackedPerplexityOfRandomModels, IsThatOfStoredWeights) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder unpacked;
  for (const std::string& type : FixtureTypes()) {
    std::string path = shared + "/fixtures/quant/" + type + ".gguf";
    if (!std::filesystem::exists(path)) {
      test::WriteAll(unpacked / (type + ".gguf"), test::ReadZstd(path + ".zst"));
      path = unpacked / (type + ".gguf");
    }
    const auto packed = OpenBackend(path, WeightLayout::kPacked, Arithmetic::kExact);
    const Perplexities found = Measure(type, path, TextOf(*packed, MostChunks()));
    EXPECT_LE(std::abs(found.PackedPercent()), 0.001) << type;
    EXPECT_LE(std::abs(found.FastPercent()), 0.5) << type;
  }
}

}  // namespace
}  // namespace metier::parity

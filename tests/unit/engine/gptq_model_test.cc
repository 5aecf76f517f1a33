// GPTQ checkpoints of every family: what they compute is what a model of their weights as floats
// computes, with and without act-order, as rows and as panels, with adapters.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <numeric>

#include "base/json.h"
#include "engine/packed_file.h"
#include "format/decode.h"
#include "format/safetensors.h"
#include "model/packed_index.h"
#include "support/gptq_linear.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using metier::test::GptqLinear;
using metier::test::GptqScheme;
using metier::test::TempFolder;
using tensor::DType;
using tensor::Tensor;

using Tensors = std::map<std::string, Tensor>;

void WriteTensors(const std::string& folder, const Tensors& tensors) {
  std::vector<format::NamedTensor> named;
  for (const auto& [name, tensor] : tensors) named.push_back({name, tensor.view()});
  ASSERT_OK(format::WriteSafetensors(folder + "/model.safetensors", named, {}));
}

// Routers have too few outputs to fill words; checkpoints leave them as they are.
bool IsLinear(const std::string& name, const tensor::TensorView& view) {
  constexpr std::string_view kTables[] = {"embed", "wte", "wpe", "lm_head", "decoder.weight"};
  return view.shape.size() == 2 && view.shape[0] % 32 == 0 && view.shape[1] % 32 == 0 &&
         name.ends_with(".weight") &&
         std::none_of(std::begin(kTables), std::end(kTables), [&](std::string_view table) {
           return name.find(table) != std::string::npos;
         });
}

Tensor Transposed(const Tensor& w) {
  const auto rows = static_cast<std::size_t>(w.shape()[0]);
  const auto columns = static_cast<std::size_t>(w.shape()[1]);
  Tensor out(DType::kF32, {w.shape()[1], w.shape()[0]});
  for (std::size_t i = 0; i < rows * columns; ++i)
    out.f32()[i % columns * rows + i / columns] = w.f32()[i];
  return out;
}

// How the inputs of a linear are sorted.
enum class Order { kNone, kShared, kOwn };

class GptqModels : public ::testing::TestWithParam<const model::Family*> {
 protected:
  // Wider than tiny, for several whole groups in each linear.
  GptqModels() : spec_(TinySpec(*GetParam())) {
    const model::ModelSpec tiny = spec_;
    for (std::int64_t times = 2; times == 2 || !InGroups(); ++times) {
      spec_.width = times * tiny.width;
      spec_.head_dim = times * tiny.head_dim;
      spec_.hidden = times * tiny.hidden;
    }
    // As its family calls for.
    if (spec_.embed_scale != 1) spec_.embed_scale = std::sqrt(static_cast<double>(spec_.width));
  }
  bool InGroups() const {
    return spec_.width % 32 == 0 && spec_.hidden % 32 == 0 &&
           spec_.heads * spec_.head_dim % 32 == 0 && spec_.kv_heads * spec_.head_dim % 32 == 0;
  }

  // Folder "gptq", and "plain" with the same weights as floats. kShared: linears of as many inputs
  // have one order, as they have where they share these.
  void Write(GptqScheme scheme, Order order) {
    scheme.act_order = order != Order::kNone;
    for (const char* name : {"gptq", "plain"}) {
      ASSERT_OK(model::WriteHuggingFaceModel(
          folder_ / name, spec_, DType::kF32,
          [&](const std::string& parameter) { return RandomParameterOf(spec_, parameter); }));
    }
    Tensors plain;
    Tensors quantised;
    ASSERT_OK_AND_ASSIGN(const auto source, format::OpenSafetensorsModel(folder_ / "plain"));
    for (const std::string& name : source->Names()) {
      const tensor::TensorView& view = *source->Find(name);
      ASSERT_OK_AND_ASSIGN(Tensor values, format::DecodeTensor(view));
      if (!IsLinear(name, view)) {
        plain[name] = values;
        quantised[name] = std::move(values);
        continue;
      }
      const bool transposed = GetParam()->name == "gpt2";  // Conv1D
      const Tensor w = transposed ? Transposed(values) : values;
      const auto out = static_cast<std::size_t>(w.shape()[0]);
      const auto in = static_cast<std::size_t>(w.shape()[1]);
      ++linears_;
      const GptqLinear linear(scheme, w.f32(), out, in, order == Order::kShared ? in : linears_);
      const std::vector<float> rounded = linear.Values();
      Tensor as_floats(DType::kF32, w.shape());
      std::copy(rounded.begin(), rounded.end(), as_floats.f32().begin());
      plain[name] = transposed ? Transposed(as_floats) : std::move(as_floats);
      const std::string stem = name.substr(0, name.size() - std::string(".weight").size());
      quantised[stem + ".qweight"] = linear.QWeight();
      quantised[stem + ".qzeros"] = linear.QZeros();
      quantised[stem + ".scales"] = linear.Scales();
      quantised[stem + ".g_idx"] = linear.GIdx();
    }
    WriteTensors(folder_ / "plain", plain);
    WriteTensors(folder_ / "gptq", quantised);
    ASSERT_OK_AND_ASSIGN(Json config, ReadJsonFile(folder_ / "gptq/config.json"));
    config["quantization_config"] = {
        {"quant_method", "gptq"},          {"bits", scheme.bits},
        {"group_size", scheme.group_size}, {"desc_act", scheme.act_order},
        {"sym", scheme.symmetric},         {"checkpoint_format", "gptq"}};
    metier::test::WriteAll(folder_ / "gptq/config.json", DumpCompact(config));
  }

  std::shared_ptr<const NativeModel> Open(const char* name, WeightLayout layout) {
    auto opened = NativeModel::Open(folder_ / name, {}, {.layout = layout});
    EXPECT_OK(opened);
    return opened.ok() ? *opened : nullptr;
  }

  void ExpectTheSame(NativeBackend& one, NativeBackend& other, bool adapted) {
    const std::vector<model::TokenId> tokens = RandomTokens(spec_, 33, 1);
    model::AdapterId ids[] = {model::AdapterId::kNone, model::AdapterId::kNone};
    if (adapted) {
      const model::Adapter adapter = RandomAdapter(spec_, 4);
      ASSERT_OK_AND_ASSIGN(ids[0], one.AddAdapter(adapter));
      ASSERT_OK_AND_ASSIGN(ids[1], other.AddAdapter(adapter));
    }
    const std::vector<float> a = RunWhole(one, tokens, {}, ids[0]);
    const std::vector<float> b = RunWhole(other, tokens, {}, ids[1]);
    ASSERT_EQ(a.size(), b.size());
    float greatest = 0;
    for (const float value : a) greatest = std::max(greatest, std::abs(value));
    // Sums of some hundred products in two orders, through two layers.
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4F * greatest) << i;
  }

  TempFolder folder_;
  model::ModelSpec spec_;
  std::uint64_t linears_ = 0;
};

TEST_P(GptqModels, ComputeWhatTheirWeightsAsFloatsCompute) {
  for (const Order order : {Order::kNone, Order::kShared, Order::kOwn}) {
    SCOPED_TRACE(static_cast<int>(order));
    ASSERT_NO_FATAL_FAILURE(Write({}, order));
    ASSERT_GT(linears_, 0U);
    if (order == Order::kOwn && spec_.moe.experts > 0) {
      EXPECT_ERROR(NativeModel::Open(folder_ / "gptq"), ErrorCode::kUnsupported, "two act-orders");
      continue;
    }
    for (const WeightLayout layout : {WeightLayout::kPacked, WeightLayout::kStored}) {
      const auto plain = Open("plain", layout);
      const auto quantised = Open("gptq", layout);
      ASSERT_TRUE(plain && quantised);
      EXPECT_TRUE(quantised->spec() == plain->spec());
      NativeBackend one(plain, {.threads = 1});
      NativeBackend other(quantised, {.threads = 2});
      ASSERT_NO_FATAL_FAILURE(ExpectTheSame(one, other, false));
      ASSERT_NO_FATAL_FAILURE(ExpectTheSame(one, other, true));
    }
  }
}

TEST_P(GptqModels, HoldTheirWeightsToTheLastBit) {
  ASSERT_NO_FATAL_FAILURE(Write({.bits = 3, .group_size = 64, .symmetric = false}, Order::kShared));
  ASSERT_OK_AND_ASSIGN(const auto plain, model::ModelFiles::Open(folder_ / "plain"));
  ASSERT_OK_AND_ASSIGN(const auto quantised, model::ModelFiles::Open(folder_ / "gptq"));
  EXPECT_TRUE(quantised.Unused().empty());
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    ASSERT_OK_AND_ASSIGN(const Tensor one, plain.LoadF32(parameter.name));
    ASSERT_OK_AND_ASSIGN(const Tensor other, quantised.LoadF32(parameter.name));
    EXPECT_TRUE(std::equal(one.f32().begin(), one.f32().end(), other.f32().begin()))
        << parameter.name;
  }
}

TEST_P(GptqModels, ComputeTheSameBitsPacked) {
  std::filesystem::create_directory(folder_ / "packed");
  for (const Order order : {Order::kNone, Order::kShared, Order::kOwn}) {
    if (order == Order::kOwn && spec_.moe.experts > 0) continue;
    SCOPED_TRACE(static_cast<int>(order));
    ASSERT_NO_FATAL_FAILURE(Write({}, order));
    {
      ASSERT_OK_AND_ASSIGN(const auto files, model::ModelFiles::Open(folder_ / "gptq"));
      ASSERT_OK(WritePackedFile(files, folder_ / "packed/packed.safetensors", 2));
    }
    ASSERT_OK_AND_ASSIGN(const auto packed, model::ModelFiles::Open(folder_ / "packed"));
    EXPECT_TRUE(packed.Unused().empty());
    for (const WeightLayout layout : {WeightLayout::kPacked, WeightLayout::kStored}) {
      for (const Arithmetic arithmetic : {Arithmetic::kExact, Arithmetic::kFast}) {
        NativeBackend one(Open("gptq", WeightLayout::kPacked),
                          {.threads = 1, .arithmetic = arithmetic});
        NativeBackend other(Open("packed", layout), {.threads = 1, .arithmetic = arithmetic});
        const std::vector<model::TokenId> tokens = RandomTokens(spec_, 9, 1);
        EXPECT_TRUE(RunWhole(one, tokens) == RunWhole(other, tokens));
      }
    }
  }
}

// A matrix with too few outputs for panels: the router, whose columns are turned round here.
TEST(GptqPacked, RowsAreInTheOrderOfTheirInputs) {
  const TempFolder folder;
  const model::ModelSpec spec = (*model::FindFamily("mixtral"))->tiny();
  const std::string router = "layers.0.router.weight";
  ASSERT_OK(model::WriteHuggingFaceModel(
      folder / "plain", spec, DType::kF32,
      [&](const std::string& parameter) { return RandomParameterOf(spec, parameter); }));
  ASSERT_OK_AND_ASSIGN(const auto plain, model::ModelFiles::Open(folder / "plain"));
  for (const char* name : {"packed", "turned"}) std::filesystem::create_directory(folder / name);
  ASSERT_OK(WritePackedFile(plain, folder / "packed/packed.safetensors", 1));
  ASSERT_OK_AND_ASSIGN(const auto file,
                       format::SafetensorsFile::Open(folder / "packed/packed.safetensors"));
  ASSERT_OK_AND_ASSIGN(Json index, ParseJson(file.metadata().at(model::kPackedKey)));
  ASSERT_EQ(index["tensors"][router]["form"], "rows");
  index["tensors"][router]["order"] = "order.0";
  ASSERT_OK_AND_ASSIGN(const Tensor values, plain.LoadF32(router));
  const auto inputs = static_cast<std::size_t>(values.shape()[1]);
  // Not its own inverse: what sorts by it the wrong way round is seen.
  std::vector<std::int32_t> order(inputs);
  for (std::size_t j = 0; j < inputs; ++j) order[j] = static_cast<std::int32_t>((j + 5) % inputs);
  Tensor turned(DType::kF32, values.shape());
  for (std::size_t i = 0; i < values.f32().size(); ++i)
    turned.f32()[i] = values.f32()[i / inputs * inputs + (i % inputs + 5) % inputs];
  std::vector<format::NamedTensor> tensors;
  for (const std::string& name : file.Names()) {
    tensor::TensorView view = *file.Find(name);
    if (name == router) view.bytes = turned.view().bytes;
    tensors.push_back({name, view});
  }
  tensors.push_back(
      {"order.0",
       {DType::kI32, {static_cast<std::int64_t>(inputs)}, std::as_bytes(std::span(order))}});
  ASSERT_OK(format::WriteSafetensors(folder / "turned/packed.safetensors", tensors,
                                     {{model::kPackedKey, DumpCompact(index)}}));
  ASSERT_OK_AND_ASSIGN(const auto files, model::ModelFiles::Open(folder / "turned"));
  ASSERT_OK_AND_ASSIGN(const Tensor read, files.LoadF32(router));
  EXPECT_TRUE(std::equal(read.f32().begin(), read.f32().end(), values.f32().begin()));
  ASSERT_OK_AND_ASSIGN(const auto one, NativeModel::Open(folder / "packed"));
  ASSERT_OK_AND_ASSIGN(const auto other, NativeModel::Open(folder / "turned"));
  NativeBackend a(one, {.threads = 1});
  NativeBackend b(other, {.threads = 1});
  const std::vector<model::TokenId> tokens = RandomTokens(spec, 9, 1);
  const std::vector<float> expected = RunWhole(a, tokens);
  const std::vector<float> found = RunWhole(b, tokens);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], 1e-4F * std::max(1.0F, std::abs(expected[i])));
}

TEST(GptqPacked, OrdersAreChecked) {
  const TempFolder folder;
  const model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  ASSERT_OK(model::WriteHuggingFaceModel(
      folder / "plain", spec, DType::kF32,
      [&](const std::string& parameter) { return RandomParameterOf(spec, parameter); }));
  std::filesystem::create_directory(folder / "packed");
  const std::string path = folder / "packed/packed.safetensors";
  const auto open = [&](const std::vector<std::int32_t>& order, tensor::DType dtype,
                        const Json& name) -> Status {
    METIER_ASSIGN(const auto plain, model::ModelFiles::Open(folder / "plain"));
    METIER_TRY(WritePackedFile(plain, path, 1));
    METIER_ASSIGN(const auto file, format::SafetensorsFile::Open(path));
    METIER_ASSIGN(Json index, ParseJson(file.metadata().at(model::kPackedKey)));
    index["tensors"]["layers.0.attn.q.weight"]["order"] = name;
    std::vector<format::NamedTensor> tensors;
    for (const std::string& each : file.Names()) tensors.push_back({each, *file.Find(each)});
    tensors.push_back(
        {"order.0",
         {dtype, {static_cast<std::int64_t>(order.size())}, std::as_bytes(std::span(order))}});
    std::filesystem::create_directory(folder / "changed");
    METIER_TRY(format::WriteSafetensors(folder / "changed/packed.safetensors", tensors,
                                        {{model::kPackedKey, DumpCompact(index)}}));
    METIER_TRY(NativeModel::Open(folder / "changed"));
    return Ok();
  };
  std::vector<std::int32_t> order(static_cast<std::size_t>(spec.width));
  std::iota(order.begin(), order.end(), 0);
  EXPECT_OK(open(order, DType::kI32, "order.0"));
  EXPECT_ERROR(open(order, DType::kI32, "order.1"), ErrorCode::kDataCorrupt, "is no tensor of I32");
  EXPECT_ERROR(open(order, DType::kF32, "order.0"), ErrorCode::kDataCorrupt, "is no tensor of I32");
  EXPECT_ERROR(open(order, DType::kI32, 7), ErrorCode::kDataCorrupt, "no tensor's name");
  EXPECT_ERROR(open(order, DType::kI32, "embed.tokens"), ErrorCode::kDataCorrupt,
               "has another parameter");
  order.push_back(static_cast<std::int32_t>(order.size()));
  EXPECT_ERROR(open(order, DType::kI32, "order.0"), ErrorCode::kDataCorrupt, "is of 33 inputs");
  order.pop_back();
  order[3] = order[4];
  EXPECT_ERROR(open(order, DType::kI32, "order.0"), ErrorCode::kDataCorrupt, "each input once");
  order[3] = static_cast<std::int32_t>(order.size());
  EXPECT_ERROR(open(order, DType::kI32, "order.0"), ErrorCode::kDataCorrupt, "each input once");
  order[3] = -1;
  EXPECT_ERROR(open(order, DType::kI32, "order.0"), ErrorCode::kDataCorrupt, "each input once");
}

INSTANTIATE_TEST_SUITE_P(Registry, GptqModels,
                         ::testing::ValuesIn(model::Families().begin(), model::Families().end()),
                         FamilyName);

}  // namespace
}  // namespace metier::engine::test

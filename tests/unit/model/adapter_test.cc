#include "model/adapter.h"

#include <algorithm>

#include "support/fixtures.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;

ModelSpec Tiny(const char* family) { return (*FindFamily(family))->tiny(); }

// Element i is i + first.
Tensor Counting(tensor::Shape shape, float first) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (float& value : tensor.f32()) value = first++;
  return tensor;
}

const LinearModule* Find(const std::vector<LinearModule>& modules, const std::string& path) {
  const auto found = std::find_if(modules.begin(), modules.end(),
                                  [&](const LinearModule& module) { return module.path == path; });
  return found == modules.end() ? nullptr : &*found;
}

TEST(LinearModules, OfEveryFamilyCoverItsLinearsOnce) {
  for (const Family* family : Families()) {
    SCOPED_TRACE(family->name);
    const ModelSpec spec = family->tiny();
    std::vector<std::string> found;
    for (const LinearModule& module : LinearModules(spec)) {
      std::int64_t rows = 0;
      for (const LinearModule::Part& part : module.parts) {
        found.push_back(part.linear + ".weight");
        rows += part.out;
      }
      EXPECT_EQ(rows, module.out);
    }
    std::vector<std::string> expected;
    for (const Parameter& parameter : Parameters(spec)) {
      if (parameter.shape.size() == 2 && parameter.name.find("embed.") != 0)
        expected.push_back(parameter.name);
    }
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(found, expected);
  }
}

TEST(LinearModules, CarryTransformersPathsAndShapes) {
  const ModelSpec gpt2 = Tiny("gpt2");
  const auto modules = LinearModules(gpt2);
  const LinearModule* fused = Find(modules, "transformer.h.1.attn.c_attn");
  ASSERT_NE(fused, nullptr);
  EXPECT_TRUE(fused->transposed);
  EXPECT_EQ(fused->in, gpt2.width);
  EXPECT_EQ(fused->out, 3 * gpt2.width);
  ASSERT_EQ(fused->parts.size(), 3U);
  EXPECT_EQ(fused->parts[2].linear, "layers.1.attn.v");
  EXPECT_NE(Find(LinearModules(Tiny("mixtral")), "model.layers.0.block_sparse_moe.experts.3.w2"),
            nullptr);
}

TEST(SelectModules, ChoosesBySuffixPatternAndAllLinear) {
  const ModelSpec spec = Tiny("llama");
  format::PeftConfig config;
  config.target_modules = {"q_proj", "down_proj"};
  ASSERT_OK_AND_ASSIGN(const auto some, SelectModules(spec, config));
  EXPECT_EQ(some.size(), 4U);
  config.layers_to_transform = {1};
  ASSERT_OK_AND_ASSIGN(const auto upper, SelectModules(spec, config));
  ASSERT_EQ(upper.size(), 2U);
  EXPECT_EQ(upper[0].path, "model.layers.1.self_attn.q_proj");
  config = {};
  config.target_pattern = "all-linear";
  ASSERT_OK_AND_ASSIGN(const auto all, SelectModules(spec, config));
  EXPECT_EQ(all.size(), 14U);  // 7 a layer, without the head
  EXPECT_EQ(Find(all, "lm_head"), nullptr);
  config.target_pattern = ".*\\.0\\.mlp\\..*|lm_head";
  ASSERT_OK_AND_ASSIGN(const auto pattern, SelectModules(spec, config));
  EXPECT_EQ(pattern.size(), 4U);
}

TEST(SelectModules, NamesTargetsThatMatchNothing) {
  format::PeftConfig config;
  config.target_modules = {"q_proj", "v_prj"};
  EXPECT_ERROR(SelectModules(Tiny("llama"), config), ErrorCode::kInvalidArgument,
               "'v_prj' matches no layer (did you mean 'v_proj'?)");
  config.target_modules = {"q_proj"};
  config.exclude_modules = {"q_proj"};
  EXPECT_ERROR(SelectModules(Tiny("llama"), config), ErrorCode::kInvalidArgument,
               "no layer is chosen");
}

TEST(ToAdapter, FixturesFitTheirModels) {
  METIER_NEEDS_SHARED(shared);
  const struct {
    const char* name;
    const char* base;
    std::size_t deltas;
  } cases[] = {{"llama_plain", "llama", 6},
               {"llama_rslora_patterns", "llama", 6},
               {"gpt2_fan_in_fan_out", "gpt2", 6}};  // 2 modules of q, k and v
  for (const auto& item : cases) {
    SCOPED_TRACE(item.name);
    ASSERT_OK_AND_ASSIGN(const auto peft,
                         format::OpenPeftAdapter(shared + "/fixtures/lora/" + item.name));
    ASSERT_OK_AND_ASSIGN(const Json config,
                         ReadJsonFile(shared + "/fixtures/models/" + item.base + "/config.json"));
    ASSERT_OK_AND_ASSIGN(const ModelSpec spec, (*FindFamily(item.base))->from_config(config));
    ASSERT_OK_AND_ASSIGN(const Adapter adapter, ToAdapter(spec, peft));
    EXPECT_EQ(adapter.deltas.size(), item.deltas);
    for (const LoraDelta& delta : adapter.deltas) {
      const auto parameters = Parameters(spec);
      const auto weight = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) {
        return p.name == delta.linear + ".weight";
      });
      ASSERT_NE(weight, parameters.end()) << delta.linear;
      EXPECT_EQ(delta.b.shape()[0], weight->shape[0]);
      EXPECT_EQ(delta.a.shape()[1], weight->shape[1]);
      EXPECT_EQ(delta.a.shape()[0], delta.b.shape()[1]);
    }
  }
}

class FusedAdapter : public ::testing::Test {
 protected:
  // An adapter of one module whose B counts its rows: [out, 1] = 0, 1, 2, ...
  Result<Adapter> Adapt(const ModelSpec& spec, const std::string& path, std::int64_t out) {
    b_ = Counting({out, 1}, 0);
    a_ = Counting({1, spec.width}, 1);
    format::PeftAdapter peft;
    peft.modules.push_back({path, a_.view(), b_.view(), 0.5});
    return ToAdapter(spec, peft);
  }
  static std::vector<float> RowsOf(const Adapter& adapter, const std::string& linear) {
    for (const LoraDelta& delta : adapter.deltas) {
      if (delta.linear == linear) return {delta.b.f32().begin(), delta.b.f32().end()};
    }
    return {};
  }

  Tensor a_;
  Tensor b_;
};

TEST_F(FusedAdapter, Gpt2RowsFollowEachOther) {
  const ModelSpec spec = Tiny("gpt2");
  for (const char* prefix : {"transformer.", ""}) {  // of the class that was adapted
    ASSERT_OK_AND_ASSIGN(const Adapter adapter,
                         Adapt(spec, std::string(prefix) + "h.0.attn.c_attn", 72));
    ASSERT_EQ(adapter.deltas.size(), 3U);
    EXPECT_EQ(RowsOf(adapter, "layers.0.attn.q").front(), 0);
    EXPECT_EQ(RowsOf(adapter, "layers.0.attn.k").front(), 24);
    EXPECT_EQ(RowsOf(adapter, "layers.0.attn.v").back(), 71);
    EXPECT_EQ(adapter.deltas[0].scale, 0.5);
    EXPECT_EQ(adapter.deltas[0].a.f32()[1], 2);
  }
}

TEST_F(FusedAdapter, BloomRowsAreInterleavedByHead) {
  const ModelSpec spec = Tiny("bloom");  // heads of 4
  ASSERT_OK_AND_ASSIGN(const Adapter adapter,
                       Adapt(spec, "transformer.h.1.self_attention.query_key_value", 72));
  const std::vector<float> k = RowsOf(adapter, "layers.1.attn.k");
  ASSERT_EQ(k.size(), 24U);
  EXPECT_THAT(std::vector<float>(k.begin(), k.begin() + 6),
              ::testing::ElementsAre(4, 5, 6, 7, 16, 17));
}

TEST_F(FusedAdapter, RefusesWhatDoesNotFit) {
  const auto bad = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(Adapt(Tiny("gpt2"), "transformer.h.9.attn.c_attn", 72), bad, "no such layer");
  EXPECT_ERROR(Adapt(Tiny("llama"), "model.layers.0.self_attn.q_prj", 32), bad,
               "nearest: 'model.layers.0.self_attn.q_proj'");
  EXPECT_ERROR(Adapt(Tiny("llama"), "model.layers.0.self_attn.q_proj", 31), bad, "32 outputs");
}

class SavedWeights : public ::testing::Test {
 protected:
  SavedWeights() {
    weight_ = Counting({spec_.vocab, spec_.width}, 0);
    other_ = Counting({spec_.vocab, spec_.width}, 1);
  }

  static std::vector<std::string> Parameters(const Adapter& adapter) {
    std::vector<std::string> names;
    for (const ReplacedWeight& weight : adapter.replaced) names.push_back(weight.parameter);
    return names;
  }

  ModelSpec spec_ = Tiny("llama");
  Tensor weight_;
  Tensor other_;
  format::PeftAdapter peft_;
};

TEST_F(SavedWeights, AreTheEmbeddingAndTheHead) {
  peft_.saved = {{"model.embed_tokens.weight", weight_.view()}, {"lm_head.weight", other_.view()}};
  for (const bool tied : {false, true}) {  // PEFT copies both of a tied model too
    spec_.tied_head = tied;
    ASSERT_OK_AND_ASSIGN(const Adapter adapter, ToAdapter(spec_, peft_));
    EXPECT_THAT(Parameters(adapter), ::testing::ElementsAre("embed.tokens", "head.weight"));
    EXPECT_EQ(adapter.replaced[0].value.f32()[0], weight_.f32()[0]);
    EXPECT_EQ(adapter.replaced[1].value.f32()[0], other_.f32()[0]);
  }
}

TEST_F(SavedWeights, OneIsBothWhereTheConfigTiesThem) {
  peft_.saved = {{"embed_tokens.weight", weight_.view()}};  // of LlamaModel alone
  spec_.tied_head = true;
  ASSERT_OK_AND_ASSIGN(const Adapter alone, ToAdapter(spec_, peft_));
  EXPECT_THAT(Parameters(alone), ::testing::ElementsAre("embed.tokens"));
  peft_.config.ensure_weight_tying = true;
  ASSERT_OK_AND_ASSIGN(const Adapter both, ToAdapter(spec_, peft_));
  EXPECT_THAT(Parameters(both), ::testing::ElementsAre("embed.tokens", "head.weight"));
  EXPECT_TRUE(std::ranges::equal(both.replaced[0].value.bytes(), both.replaced[1].value.bytes()));
  spec_.tied_head = false;
  ASSERT_OK_AND_ASSIGN(const Adapter untied, ToAdapter(spec_, peft_));
  EXPECT_THAT(Parameters(untied), ::testing::ElementsAre("embed.tokens"));
}

TEST_F(SavedWeights, RefusesWhatCannotBeReplaced) {
  const Tensor narrow = Counting({spec_.vocab, spec_.width - 1}, 0);
  peft_.saved = {{"model.norm.weight", weight_.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kUnsupported,
               "'model.norm.weight' of modules_to_save cannot be replaced, only "
               "model.embed_tokens and lm_head can");
  peft_.saved = {{"lm_head.bias", weight_.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kUnsupported, "lm_head.bias");
  peft_.saved = {{"lm_head.weight", narrow.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kInvalidArgument, "'lm_head.weight' is [");
  peft_.saved = {{"embed_tokens.weight", weight_.view()},
                 {"model.embed_tokens.weight", weight_.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kDataCorrupt, "replace 'embed.tokens'");
}

TEST(SelectWholeModules, KnowsTheNamesOfEveryFamily) {
  const struct {
    const char* family;
    std::vector<std::string> paths;
  } cases[] = {{"llama", {"model.embed_tokens", "lm_head"}},
               {"gpt2", {"transformer.wte", "lm_head"}},
               {"bert", {"embeddings.word_embeddings"}}};
  for (const auto& item : cases) {
    std::vector<std::string> paths;
    for (const WholeModule& module : WholeModules(Tiny(item.family))) paths.push_back(module.path);
    EXPECT_EQ(paths, item.paths) << item.family;
  }
  ASSERT_OK_AND_ASSIGN(const auto chosen, SelectWholeModules(Tiny("gpt2"), {"wte"}));
  ASSERT_EQ(chosen.size(), 1U);
  EXPECT_EQ(chosen[0].parameter, "embed.tokens");
  EXPECT_ERROR(SelectWholeModules(Tiny("gpt2"), {"wte", "lm_haed"}), ErrorCode::kInvalidArgument,
               "module to save 'lm_haed' matches no layer (did you mean 'lm_head'?)");
}

TEST_F(SavedWeights, RowsOfTheEmbeddingAreTheTiedHeadsToo) {
  const Tensor two = Counting({2, spec_.width}, 0);
  peft_.rows = {{"model.embed_tokens", {9, 4}, two.view()}};
  const auto parameters = [](const Adapter& adapter) {
    std::vector<std::string> names;
    for (const TokenRows& rows : adapter.rows) names.push_back(rows.parameter);
    return names;
  };
  spec_.tied_head = false;
  ASSERT_OK_AND_ASSIGN(const Adapter untied, ToAdapter(spec_, peft_));
  EXPECT_THAT(parameters(untied), ::testing::ElementsAre("embed.tokens"));
  EXPECT_THAT(untied.rows[0].tokens, ::testing::ElementsAre(4, 9));  // with their values
  EXPECT_EQ(untied.rows[0].values.f32()[0], two.f32()[static_cast<std::size_t>(spec_.width)]);
  spec_.tied_head = true;
  ASSERT_OK_AND_ASSIGN(const Adapter tied, ToAdapter(spec_, peft_));
  EXPECT_THAT(parameters(tied), ::testing::ElementsAre("embed.tokens", "head.weight"));
  EXPECT_TRUE(std::ranges::equal(tied.rows[0].values.bytes(), tied.rows[1].values.bytes()));
  const Tensor one = Counting({1, spec_.width}, 0);
  peft_.rows.push_back({"lm_head", {4}, one.view()});
  ASSERT_OK_AND_ASSIGN(const Adapter apart, ToAdapter(spec_, peft_));
  EXPECT_THAT(apart.rows[1].tokens, ::testing::ElementsAre(4));
}

TEST_F(SavedWeights, RefusesRowsThatDoNotFit) {
  const Tensor two = Counting({2, spec_.width}, 0);
  const Tensor narrow = Counting({2, spec_.width - 1}, 0);
  peft_.rows = {{"model.norm", {9, 4}, two.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kUnsupported, "'model.norm' has rows");
  peft_.rows = {{"lm_head", {9, 4}, narrow.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kInvalidArgument, "'lm_head' has rows of 31");
  peft_.rows = {{"lm_head", {9, spec_.vocab}, two.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kInvalidArgument, "tokens up to");
  peft_.rows = {{"lm_head", {9, 4}, two.view()}};
  peft_.saved = {{"lm_head.weight", weight_.view()}};
  EXPECT_ERROR(ToAdapter(spec_, peft_), ErrorCode::kDataCorrupt, "expected one of them");
}

}  // namespace
}  // namespace metier::model

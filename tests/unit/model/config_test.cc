// config.json and GGUF metadata: every key that changes the function is honoured or refused by
// name.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "model/family.h"
#include "model/model_files.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

using tensor::DType;

// The tiny model's config of a family with one key set.
Result<ModelSpec> With(const char* family_name, const std::string& key, Json value) {
  const Family* family = *FindFamily(family_name);
  Json config = family->to_config(family->tiny());
  config[key] = std::move(value);
  return family->from_config(config);
}

TEST(Config, OfOurOwnExpertsSaysWhatIsWrongWithThem) {
  const auto corrupt = [](const char* family, const char* key, Json value) {
    SCOPED_TRACE(std::string(family) + " " + key);
    EXPECT_ERROR(With(family, key, std::move(value)), ErrorCode::kDataCorrupt, key);
  };
  corrupt("metier_experts", "num_experts", {2, 4});
  corrupt("metier_experts", "num_experts", {2, 4, -1});
  corrupt("metier_experts", "num_experts", {2, 4, "x"});
  corrupt("metier_experts", "num_experts", 0);
  corrupt("metier_experts", "router_score", "best");
  corrupt("metier_task_experts", "tasks", Json::array());
  corrupt("metier_task_experts", "tasks", {"a", 1});
  corrupt("metier_task_experts", "tasks", nullptr);
  corrupt("metier_expert_choice", "expert_capacity", "all");
  // Experts that choose know what follows.
  EXPECT_ERROR(model::Validate(*With("metier_expert_choice", "is_causal", true)),
               ErrorCode::kInvalidArgument, "a causal model");
  // An encoder has the head that its architecture names.
  ASSERT_OK_AND_ASSIGN(const ModelSpec bare, With("metier_experts", "is_causal", false));
  EXPECT_FALSE(bare.causal || bare.head || bare.tied_head);
  const Json masked = (*FindFamily("metier_expert_choice"))
                          ->to_config((*FindFamily("metier_expert_choice"))->tiny());
  EXPECT_EQ(masked.at("architectures"), Json::array({"MetierExpertsForMaskedLM"}));
  ASSERT_OK_AND_ASSIGN(const ModelSpec headless,
                       With("metier_expert_choice", "architectures", {"MetierExpertsModel"}));
  EXPECT_FALSE(headless.head);
  // The same numbers are one.
  ASSERT_OK_AND_ASSIGN(const ModelSpec even, With("metier_experts", "num_experts", {4, 4, 4}));
  EXPECT_TRUE(even.moe.of_layer.empty());
  EXPECT_EQ(even.moe.experts, 4);
}

TEST(Config, RefusesByNameWhatItDoesNotHonour) {
  const auto refuses = [](const char* family, const char* key, Json value) {
    SCOPED_TRACE(std::string(family) + " " + key);
    EXPECT_ERROR(With(family, key, std::move(value)), ErrorCode::kUnsupported, key);
  };
  refuses("llama", "rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}});
  refuses("llama", "rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}});
  refuses("llama", "rope_scaling", {{"factor", 4.0}});
  refuses("llama", "rope_parameters", {{"rope_type", "longrope"}, {"rope_theta", 1e4}});
  refuses("llama", "partial_rotary_factor", 0.5);
  refuses("llama", "hidden_act", "swiglu_oai");
  refuses("llama", "sliding_window", 128);
  refuses("llama", "quantization_config", {{"quant_method", "gptq"}});
  refuses("llama", "final_logit_softcapping", 30.0);
  refuses("llama", "attn_logit_softcapping", 50.0);
  refuses("llama", "logits_scaling", 8.0);
  refuses("llama", "embedding_multiplier", 12.0);
  refuses("llama", "num_local_experts", 8);
  refuses("llama", "architectures", {"LlamaForSequenceClassification"});
  refuses("llama", "layer_types", {"full_attention", "sliding_attention"});
  refuses("llama", "is_encoder_decoder", true);
  refuses("qwen2", "attention_bias", true);
  refuses("qwen3moe", "decoder_sparse_step", 2);
  refuses("qwen3moe", "mlp_only_layers", {0});
  refuses("qwen3moe", "use_sliding_window", true);
  refuses("qwen3moe", "shared_expert_intermediate_size", 64);
  refuses("gemma", "query_pre_attn_scalar", 256);
  refuses("gemma", "hidden_act", "silu");
  refuses("gpt2", "scale_attn_by_inverse_layer_idx", true);
  refuses("gpt2", "add_cross_attention", true);
  refuses("bloom", "apply_residual_connection_post_layernorm", true);
  refuses("bloom", "n_inner", 100);
  refuses("bert", "position_embedding_type", "relative_key");
  refuses("bert", "is_decoder", true);
  refuses("smallthinker", "moe_layer_layout", {1, 1, 0, 1, 1});
  refuses("smallthinker", "moe_enable_secondary_experts", true);
  refuses("smallthinker", "moe_enable_early_router", false);
  refuses("biogpt", "rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}});
}

TEST(Config, PassesHarmlessAndUnknownKeys) {
  for (const Family* family : Families()) {
    Json config = family->to_config(family->tiny());
    config["use_cache"] = true;
    config["attention_dropout"] = 0.1;
    config["quantization_config"] = nullptr;
    config["final_logit_softcapping"] = nullptr;
    config["a_key_of_the_future"] = {1, 2, 3};
    ASSERT_OK_AND_ASSIGN(ModelSpec spec, family->from_config(config));
    spec.pooling = family->tiny().pooling;
    EXPECT_TRUE(spec == family->tiny()) << family->name;
  }
}

TEST(Config, NamesWrongTypesAndMissingKeys) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  for (const Json& value :
       {Json(0), Json(-1), Json("8"), Json(1.5), Json(1ULL << 40), Json::array()})
    EXPECT_ERROR(With("llama", "hidden_size", value), corrupt, "hidden_size");
  EXPECT_ERROR(With("llama", "hidden_size", nullptr), corrupt, "\"hidden_size\" is missing");
  EXPECT_ERROR(With("llama", "attention_bias", 1), corrupt, "attention_bias");
  EXPECT_ERROR(With("llama", "rms_norm_eps", "small"), corrupt, "rms_norm_eps");
  EXPECT_ERROR(With("llama", "rope_scaling", "linear"), corrupt, "rope_scaling");
  EXPECT_ERROR(With("llama", "rope_scaling", {{"type", "linear"}}), corrupt,
               "\"factor\" is missing");
  EXPECT_ERROR(With("llama", "rope_scaling", {{"type", "llama3"}, {"factor", 8}}), corrupt,
               "\"low_freq_factor\" is missing");
  EXPECT_ERROR(With("llama", "num_hidden_layers", 1 << 20), ErrorCode::kResourceExhausted, "4096");
  EXPECT_ERROR(With("smallthinker", "rope_layout", {1, 0}), corrupt, "5 times 0 or 1");
  EXPECT_ERROR(With("bloom", "n_embed", 48), corrupt, "which means the same");
  EXPECT_ERROR((*FindFamily("llama"))->from_config(Json::array()), corrupt, "object");
}

TEST(Config, ReadsBothNamesOfRopeScaling) {
  const auto check = [](const char* key, Json value) {
    ASSERT_OK_AND_ASSIGN(const ModelSpec spec, With("llama", key, std::move(value)));
    EXPECT_EQ(spec.rope.scaling, RopeScaling::kLinear);
    EXPECT_EQ(spec.rope.factor, 4);
  };
  check("rope_scaling", {{"type", "linear"}, {"factor", 4.0}});
  check("rope_scaling", {{"rope_type", "linear"}, {"factor", 4}});
  Json config = (*FindFamily("llama"))->to_config((*FindFamily("llama"))->tiny());
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 123.0}};
  ASSERT_OK_AND_ASSIGN(const ModelSpec spec, (*FindFamily("llama"))->from_config(config));
  EXPECT_EQ(spec.rope.scaling, RopeScaling::kNone);
  EXPECT_EQ(spec.rope.theta, 123);
}

TEST(Config, WindowsFollowTransformersDefaults) {
  const auto window = [](const Result<ModelSpec>& spec, std::size_t layer) {
    EXPECT_OK(spec);
    return spec.ok() ? spec->layer[layer].sliding_window : -1;
  };
  EXPECT_EQ(window(With("mistral", "sliding_window", nullptr), 0), 0);
  EXPECT_EQ(window(With("mistral", "sliding_window", 77), 1), 77);
  Json mistral = (*FindFamily("mistral"))->to_config((*FindFamily("mistral"))->tiny());
  mistral.erase("sliding_window");
  EXPECT_EQ(window((*FindFamily("mistral"))->from_config(mistral), 0), 4096);

  EXPECT_EQ(window(With("qwen2", "use_sliding_window", false), 1), 0);
  EXPECT_EQ(window(With("qwen2", "layer_types", {"sliding_attention", "full_attention"}), 0), 9);
  Json qwen = (*FindFamily("qwen2"))->to_config((*FindFamily("qwen2"))->tiny());
  qwen.erase("layer_types");
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(window((*FindFamily("qwen2"))->from_config(qwen), 0), 9);
  qwen["max_window_layers"] = 1;
  EXPECT_EQ(window((*FindFamily("qwen2"))->from_config(qwen), 0), 0);
  EXPECT_EQ(window((*FindFamily("qwen2"))->from_config(qwen), 1), 9);
  EXPECT_EQ(window(With("qwen2", "layer_types", nullptr), 1), 9);
}

TEST(Config, FamiliesReadTheirOwnTraps) {
  ASSERT_OK_AND_ASSIGN(const ModelSpec biogpt, With("biogpt", "layer_norm_eps", 1e-3));
  EXPECT_EQ(biogpt.norm.epsilon, 1e-5);  // transformers never reads the key
  EXPECT_EQ(biogpt.position_offset, 2);
  ASSERT_OK_AND_ASSIGN(const ModelSpec plain, With("biogpt", "scale_embedding", false));
  EXPECT_EQ(plain.embed_scale, 1);
  ASSERT_OK_AND_ASSIGN(const ModelSpec gemma, With("gemma", "hidden_act", "gelu"));
  EXPECT_EQ(gemma.activation, Activation::kGeluTanh);
  ASSERT_OK_AND_ASSIGN(const ModelSpec erf, With("gemma", "hidden_activation", "gelu"));
  EXPECT_EQ(erf.activation, Activation::kGeluErf);
  ASSERT_OK_AND_ASSIGN(const ModelSpec gpt2, With("gpt2", "scale_attn_weights", false));
  EXPECT_EQ(gpt2.score_scale(), 1);
  ASSERT_OK_AND_ASSIGN(const ModelSpec inner, With("gpt2", "n_inner", nullptr));
  EXPECT_EQ(inner.hidden, 4 * inner.width);
  ASSERT_OK_AND_ASSIGN(const ModelSpec softmax,
                       With("smallthinker", "moe_primary_router_apply_softmax", true));
  EXPECT_EQ(softmax.moe.score, RouterScore::kTopKThenSoftmax);
  ASSERT_OK_AND_ASSIGN(const ModelSpec moe, With("qwen3moe", "norm_topk_prob", false));
  EXPECT_FALSE(moe.moe.normalise_top_k);
}

class GgufConfigTest : public ::testing::Test {
 protected:
  // The tiny model of a family as GGUF, with keys and tensors changed on the way.
  Result<ModelSpec> With(const char* family_name, const std::string& key, format::GgufValue value,
                         std::vector<format::NamedTensor> extra = {}) {
    const Family* family = *FindFamily(family_name);
    const auto spec = family->tiny();
    auto metadata = family->to_gguf(spec);
    if (!metadata.ok()) return std::move(metadata).error();
    (*metadata)[key] = std::move(value);
    METIER_TRY(format::WriteGguf(temp_ / "m.gguf", *metadata, extra));
    METIER_ASSIGN(const format::GgufFile file, format::GgufFile::Open(temp_ / "m.gguf"));
    return family->from_gguf(file);
  }

  test::TempFolder temp_;
};

TEST_F(GgufConfigTest, RefusesByNameWhatItDoesNotHonour) {
  const auto refuses = [this](const char* family, const std::string& key, format::GgufValue value) {
    SCOPED_TRACE(key);
    EXPECT_ERROR(With(family, key, std::move(value)), ErrorCode::kUnsupported, key);
  };
  refuses("llama", "llama.rope.scaling.type", std::string("yarn"));
  refuses("llama", "llama.rope.dimension_count", std::uint64_t{4});
  refuses("llama", "llama.attention.value_length", std::uint64_t{4});
  refuses("llama", "llama.attn_logit_softcapping", 50.0);
  refuses("llama", "llama.logit_scale", 8.0);
  refuses("llama", "llama.expert_shared_count", std::uint64_t{1});
  refuses("bert", "bert.attention.causal", true);
  refuses("bert", "bert.pooling_type", std::uint64_t{4});
  refuses("qwen3moe", "qwen3moe.leading_dense_block_count", std::uint64_t{1});
}

TEST_F(GgufConfigTest, NamesWrongTypesAndMissingKeys) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(With("llama", "llama.block_count", std::string("2")), corrupt, "llama.block_count");
  EXPECT_ERROR(With("llama", "llama.block_count", std::uint64_t{0}), corrupt, "llama.block_count");
  EXPECT_ERROR(With("llama", "llama.block_count", std::uint64_t{1} << 20),
               ErrorCode::kResourceExhausted, "4096");
  EXPECT_ERROR(With("llama", "llama.attention.head_count_kv", std::vector<std::int64_t>{1, 2}),
               corrupt, "head_count_kv");
  test::TempFolder temp;
  ASSERT_OK(format::WriteGguf(temp / "v", {{"general.architecture", std::string("llama")}}, {}));
  EXPECT_ERROR(ModelFiles::Open(temp / "v"), corrupt, "vocabulary without a model");
}

TEST_F(GgufConfigTest, RecognisesLlama3FactorsAndKeepsOthers) {
  ModelSpec spec = (*FindFamily("llama"))->tiny();
  tensor::Tensor factors(DType::kF32, {spec.head_dim / 2});
  const std::vector<double> formula = RopeFactors(spec);
  for (std::size_t i = 0; i < formula.size(); ++i)
    factors.f32()[i] = static_cast<float>(formula[i]);
  ASSERT_OK_AND_ASSIGN(const ModelSpec same, With("llama", "general.name", std::string("x"),
                                                  {{"rope_freqs.weight", factors.view()}}));
  EXPECT_EQ(same.rope, spec.rope);
  const tensor::Tensor unblended(DType::kF32, {spec.head_dim / 2});
  std::ranges::copy(std::vector<float>{1, 1, 8, 8}, tensor::Tensor(unblended).f32().begin());
  ASSERT_OK_AND_ASSIGN(const ModelSpec any, With("llama", "general.name", std::string("x"),
                                                 {{"rope_freqs.weight", unblended.view()}}));
  EXPECT_EQ(any.rope.scaling, RopeScaling::kLlama3);
  EXPECT_THAT(RopeFactors(any), ::testing::ElementsAre(1, 1, 8, 8));
  factors.f32()[1] *= 1.1F;
  factors.f32()[2] *= 0.9F;
  ASSERT_OK_AND_ASSIGN(const ModelSpec other, With("llama", "general.name", std::string("x"),
                                                   {{"rope_freqs.weight", factors.view()}}));
  EXPECT_EQ(other.rope.scaling, RopeScaling::kFactors);
  EXPECT_EQ(other.rope.factors[1], factors.f32()[1]);
  const tensor::Tensor few(DType::kF32, {1});
  EXPECT_ERROR(With("llama", "general.name", std::string("x"), {{"rope_freqs.weight", few.view()}}),
               ErrorCode::kDataCorrupt, "1 factors for 4 pairs");
}

}  // namespace
}  // namespace metier::model

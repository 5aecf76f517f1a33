#include "model/model_spec.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/family.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

ModelSpec Small() { return (*FindFamily("llama"))->tiny(); }

TEST(ModelSpec, ParametersStandInTheOrderOfComputation) {
  ModelSpec spec = Small();
  spec.layers = 1;
  spec.layer.resize(1);
  spec.qkv_bias = spec.o_bias = spec.ffn_bias = false;
  std::vector<std::string> names;
  for (const Parameter& parameter : Parameters(spec)) names.push_back(parameter.name);
  EXPECT_THAT(names, ::testing::ElementsAre("embed.tokens", "layers.0.attn_norm.weight",
                                            "layers.0.attn.q.weight", "layers.0.attn.k.weight",
                                            "layers.0.attn.v.weight", "layers.0.attn.o.weight",
                                            "layers.0.ffn_norm.weight", "layers.0.ffn.gate.weight",
                                            "layers.0.ffn.up.weight", "layers.0.ffn.down.weight",
                                            "final_norm.weight", "head.weight"));
}

TEST(ModelSpec, RouterStandsWhereItIsComputed) {
  ModelSpec spec = (*FindFamily("smallthinker"))->tiny();
  EXPECT_EQ(Parameters(spec)[1].name, "layers.0.router.weight");
  spec.moe.router_input = RouterInput::kFfnNorm;
  EXPECT_EQ(Parameters(spec)[1].name, "layers.0.attn_norm.weight");
}

TEST(ModelSpec, CountsKnownModels) {
  ModelSpec gpt2 = (*FindFamily("gpt2"))->tiny();  // GPT-2 small: 124,439,808 by its authors
  gpt2.vocab = 50257;
  gpt2.width = 768;
  gpt2.layers = 12;
  gpt2.layer.resize(12);
  gpt2.heads = gpt2.kv_heads = 12;
  gpt2.head_dim = 64;
  gpt2.hidden = 3072;
  gpt2.max_positions = 1024;
  EXPECT_EQ(ParameterCount(gpt2), 124'439'808);

  ModelSpec llama = Small();  // Llama 2 7B: 6,738,415,616
  llama.vocab = 32000;
  llama.width = 4096;
  llama.layers = 32;
  llama.layer.resize(32);
  llama.heads = llama.kv_heads = 32;
  llama.head_dim = 128;
  llama.hidden = 11008;
  llama.qkv_bias = llama.o_bias = llama.ffn_bias = false;
  EXPECT_EQ(ParameterCount(llama), 6'738'415'616);
}

TEST(ModelSpec, ValidateNamesWhatIsWrong) {
  const auto refuses = [](const std::string& what, auto change) {
    ModelSpec spec = Small();
    change(spec);
    EXPECT_ERROR(Validate(spec), ErrorCode::kInvalidArgument, what);
  };
  EXPECT_OK(Validate(Small()));
  refuses("vocab", [](ModelSpec& s) { s.vocab = 0; });
  refuses("layers", [](ModelSpec& s) { s.layers = -1; });
  refuses("heads cannot share", [](ModelSpec& s) { s.kv_heads = 3; });
  refuses("odd", [](ModelSpec& s) { s.head_dim = 7; });
  refuses("layer descriptions", [](ModelSpec& s) { s.layer.pop_back(); });
  refuses("sliding_window", [](ModelSpec& s) { s.layer[0].sliding_window = -1; });
  refuses("epsilon", [](ModelSpec& s) { s.norm.epsilon = 0; });
  refuses("embed_scale", [](ModelSpec& s) { s.embed_scale = NAN; });
  refuses("theta", [](ModelSpec& s) { s.rope.theta = -1; });
  refuses("rope factor", [](ModelSpec& s) { s.rope.factor = 0; });
  refuses("high_freq_factor", [](ModelSpec& s) { s.rope.high_freq_factor = 1; });
  refuses("original positions", [](ModelSpec& s) { s.rope.original_positions = 0; });
  refuses("rope factors", [](ModelSpec& s) { s.rope.scaling = RopeScaling::kFactors; });
  refuses("per token", [](ModelSpec& s) { s.moe = {.experts = 4, .top_k = 5}; });
}

TEST(ModelSpec, ValidateKnowsWhatExpertsCanDo) {
  const auto refuses = [](const std::string& what, const char* family, auto change) {
    ModelSpec spec = (*FindFamily(family))->tiny();
    change(spec);
    EXPECT_ERROR(Validate(spec), ErrorCode::kInvalidArgument, what);
  };
  const char* token = "metier_experts";
  refuses("0 experts", token, [](ModelSpec& s) { s.moe.experts = 0; });
  refuses("experts of 2 layers", token, [](ModelSpec& s) { s.moe.of_layer = {2, 4}; });
  refuses("4 to 4 experts", token, [](ModelSpec& s) { s.moe.of_layer = {4, 4, 4}; });
  refuses("0 to 5 experts", token, [](ModelSpec& s) { s.moe.of_layer = {0, 2, 5}; });
  refuses("3 of 2 experts per token in layer 1", token, [](ModelSpec& s) { s.moe.top_k = 3; });
  refuses("tasks, and experts by token", token, [](ModelSpec& s) { s.moe.tasks = {"a"}; });
  refuses("a capacity, found 1", token, [](ModelSpec& s) { s.moe.capacity = 1; });
  const char* task = "metier_task_experts";
  refuses("no task", task, [](ModelSpec& s) { s.moe.tasks.clear(); });
  refuses("two tasks 'a'", task, [](ModelSpec& s) { s.moe.tasks = {"a", "b", "a"}; });
  refuses("without a name", task, [](ModelSpec& s) { s.moe.tasks = {"a", ""}; });
  refuses("the chosen ones only", task, [](ModelSpec& s) { s.moe.score = RouterScore::kSigmoid; });
  refuses("before attention", task,
          [](ModelSpec& s) { s.moe.router_input = RouterInput::kBlockInput; });
  const char* expert = "metier_expert_choice";
  refuses("in a causal model", expert, [](ModelSpec& s) { s.causal = true; });
  refuses("capacity, found 0", expert, [](ModelSpec& s) { s.moe.capacity = 0; });
  refuses("capacity is -1", expert, [](ModelSpec& s) { s.moe.capacity = -1; });
  refuses("softmax over all", expert, [](ModelSpec& s) { s.moe.normalise_top_k = true; });
}

TEST(ModelSpec, TokensOfAnExpertAreItsShareRoundedUp) {
  MoeSpec moe;
  moe.capacity = 1.5;
  EXPECT_EQ(TokensOfExpert(moe, 4, 8), 3);
  EXPECT_EQ(TokensOfExpert(moe, 4, 9), 4);
  EXPECT_EQ(TokensOfExpert(moe, 4, 1), 1);
  moe.capacity = 1e300;
  EXPECT_EQ(TokensOfExpert(moe, 4, 7), 7);
}

TEST(ModelSpec, ValidateKeepsSizesWithinLimits) {
  const auto refuses = [](const std::string& what, auto change) {
    ModelSpec spec = Small();
    change(spec);
    EXPECT_ERROR(Validate(spec), ErrorCode::kResourceExhausted, what);
  };
  refuses("vocab", [](ModelSpec& s) { s.vocab = std::int64_t{1} << 40; });
  refuses("width", [](ModelSpec& s) { s.width = std::int64_t{1} << 40; });
  refuses("heads x head_dim", [](ModelSpec& s) { s.heads = s.head_dim = 1 << 16; });
  refuses("experts", [](ModelSpec& s) { s.moe.experts = std::int64_t{1} << 50; });
  refuses("tensors", [](ModelSpec& s) {
    s.layers = 4000;
    s.layer.resize(4000);
    s.moe = {.experts = 10'000, .top_k = 1};
  });
  refuses("tensor of", [](ModelSpec& s) {
    s.vocab = 1 << 22;
    s.width = 1 << 20;
  });
}

// Press et al. 2022, section 3: 2^(-8 i / n), and for 6 heads the four of n = 4 with two from n
// = 8.
TEST(ModelSpec, AlibiSlopesFollowThePaper) {
  const std::vector<float> eight = AlibiSlopes(8);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(eight[static_cast<std::size_t>(i)], std::exp2(-static_cast<float>(i + 1)));
  EXPECT_THAT(AlibiSlopes(6),
              ::testing::ElementsAre(0.25F, 0.0625F, 0.015625F, 0.00390625F, 0.5F, 0.125F));
  EXPECT_EQ(AlibiSlopes(1).size(), 1U);
}

TEST(ModelSpec, RopeFrequenciesOfEachScaling) {
  ModelSpec spec = Small();
  spec.head_dim = 4;
  spec.rope = {};
  EXPECT_THAT(RopeFrequencies(spec), ::testing::ElementsAre(1.0F, 0.01F));
  spec.rope.scaling = RopeScaling::kLinear;
  spec.rope.factor = 4;
  EXPECT_THAT(RopeFrequencies(spec), ::testing::ElementsAre(0.25F, 0.0025F));
  spec.rope.scaling = RopeScaling::kFactors;
  spec.rope.factors = {1, 2};
  EXPECT_THAT(RopeFrequencies(spec), ::testing::ElementsAre(1.0F, 0.005F));
}

TEST(ModelSpec, Llama3ScalingKeepsShortWavesAndStretchesLongOnes) {
  ModelSpec spec = Small();
  spec.head_dim = 128;  // Llama 3.1: theta 500000, factor 8, 1 to 4 of 8192 positions
  spec.rope.theta = 500000;
  spec.rope.original_positions = 8192;
  const std::vector<double> factors = RopeFactors(spec);
  EXPECT_TRUE(std::is_sorted(factors.begin(), factors.end()));
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double wave =
        2 * std::numbers::pi * std::pow(500000.0, 2.0 * static_cast<double>(i) / 128);
    const double least = wave > 8192 ? 8 : 1;
    const double most = wave < 2048 ? 1 : 8;
    EXPECT_GE(factors[i], least) << i;
    EXPECT_LE(factors[i], most) << i;
    // Speeds go over linearly in 1 / wave, from 1 at 2048 to 1/8 at 8192.
    if (wave > 2048 && wave < 8192) {
      const double kept = (8192 / wave - 1) / 3;
      EXPECT_NEAR(1 / factors[i], kept + (1 - kept) / 8, 1e-12) << i;
    }
  }
  EXPECT_EQ(factors.front(), 1);
  EXPECT_EQ(factors.back(), 8);
}

TEST(ModelSpec, ScoreScaleIsTheRootUnlessSaid) {
  ModelSpec spec = Small();
  spec.head_dim = 16;
  EXPECT_EQ(spec.score_scale(), 0.25);
  spec.attention_scale = 1;
  EXPECT_EQ(spec.score_scale(), 1);
}

}  // namespace
}  // namespace metier::model

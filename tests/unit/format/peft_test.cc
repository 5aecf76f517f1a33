#include "format/peft.h"

#include <algorithm>
#include <cmath>

#include "format/module_pattern.h"
#include "support/fixtures.h"

namespace metier::format {
namespace {

using tensor::DType;
using tensor::Tensor;
using ::testing::ElementsAre;

// A small valid config with one key set.
Json ConfigWith(const std::string& key, Json value) {
  Json config = {
      {"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}, {"target_modules", {"q_proj"}}};
  config[key] = std::move(value);
  return config;
}

TEST(PeftConfig, ReadsTheFixturesAndTheirScales) {
  METIER_NEEDS_SHARED(shared);
  for (const char* name : {"llama_plain", "llama_rslora_patterns", "gpt2_fan_in_fan_out"}) {
    SCOPED_TRACE(name);
    const std::string folder = shared + "/fixtures/lora/" + name;
    ASSERT_OK_AND_ASSIGN(const PeftAdapter adapter, OpenPeftAdapter(folder));
    ASSERT_OK_AND_ASSIGN(const Json meta, ReadJsonFile(folder + "/meta.json"));
    EXPECT_TRUE(adapter.config.unknown_keys.empty());
    EXPECT_TRUE(adapter.saved.empty());
    std::size_t found = 0;
    for (const auto& [path, expected] : meta["modules"].items()) {
      for (const PeftModule& module : adapter.modules) {
        if (!HasModuleSuffix(module.path, path)) continue;
        ++found;
        EXPECT_EQ(module.a.shape[0], expected["r"].get<std::int64_t>()) << path;
        EXPECT_EQ(adapter.config.AlphaOf(module.path), expected["alpha"].get<double>()) << path;
        EXPECT_DOUBLE_EQ(module.scale, expected["scale"].get<double>()) << path;
        EXPECT_TRUE(adapter.config.Targets(module.path)) << path;
      }
    }
    EXPECT_EQ(found, adapter.modules.size());
    EXPECT_EQ(found, meta["modules"].size());
  }
}

TEST(PeftConfig, FirstMatchingPatternCountsAndMatchesAsPeftDoes) {
  Json document = ConfigWith(
      "rank_pattern",
      {{"layers.1.self_attn.q_proj", 16}, {"q_proj", 2}, {"layers\\.\\d+\\.mlp\\..*", 3}});
  document["alpha_pattern"] = {{"q_proj", 6.5}};
  ASSERT_OK_AND_ASSIGN(const PeftConfig config, ParsePeftConfig(document));
  EXPECT_EQ(config.RankOf("model.layers.1.self_attn.q_proj"), 16);
  EXPECT_EQ(config.RankOf("model.layers.0.self_attn.q_proj"), 2);
  EXPECT_EQ(config.RankOf("model.layers.11.mlp.up_proj"), 3);
  EXPECT_EQ(config.RankOf("model.layers.1.self_attn.xq_proj"), 4);  // not a suffix at a dot
  EXPECT_EQ(config.ScaleOf("q_proj"), 6.5 / 2);
  EXPECT_EQ(config.ScaleOf("model.layers.0.self_attn.v_proj"), 2.0);
}

TEST(PeftConfig, RsloraDividesByTheRoot) {
  ASSERT_OK_AND_ASSIGN(const PeftConfig config, ParsePeftConfig(ConfigWith("use_rslora", true)));
  EXPECT_EQ(config.ScaleOf("q_proj"), 8 / std::sqrt(4.0));
}

TEST(PeftConfig, TargetsChoosesModulesAsPeftDoes) {
  const auto targets = [](const Json& document, const char* path) {
    const auto config = ParsePeftConfig(document);
    EXPECT_TRUE(config.ok());
    return config.ok() && config->Targets(path);
  };
  Json document = ConfigWith("target_modules", {"q_proj", "mlp.up_proj"});
  EXPECT_TRUE(targets(document, "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(targets(document, "q_proj"));
  EXPECT_TRUE(targets(document, "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(targets(document, "model.layers.0.xmlp.up_proj"));
  document["exclude_modules"] = {"layers.0.self_attn.q_proj"};
  EXPECT_FALSE(targets(document, "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(targets(document, "model.layers.1.self_attn.q_proj"));
  document["layers_to_transform"] = {1, 3};
  EXPECT_FALSE(targets(document, "model.layers.2.self_attn.q_proj"));
  EXPECT_TRUE(targets(document, "model.layers.3.self_attn.q_proj"));
  EXPECT_FALSE(targets(document, "q_proj"));  // not in any layer
  document["layers_pattern"] = "h";
  EXPECT_FALSE(targets(document, "model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(targets(document, "model.h.3.self_attn.q_proj"));

  document = ConfigWith("target_modules", ".*\\.layers\\.[02]\\..*_proj");
  EXPECT_TRUE(targets(document, "model.layers.2.mlp.up_proj"));
  EXPECT_FALSE(targets(document, "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(targets(document, "model.layers.2.mlp.up_projector"));  // the whole path must match
  document["exclude_modules"] = ".*up_proj";
  EXPECT_FALSE(targets(document, "model.layers.2.mlp.up_proj"));
  EXPECT_TRUE(targets(ConfigWith("target_modules", "all-linear"), "anything"));
}

TEST(PeftConfig, RefusesByNameWhatChangesTheFunction) {
  const auto refused = [](const char* key, Json value) {
    SCOPED_TRACE(key);
    EXPECT_ERROR(ParsePeftConfig(ConfigWith(key, std::move(value))), ErrorCode::kUnsupported,
                 std::string("\"") + key + "\"");
  };
  refused("peft_type", "XLORA");
  refused("peft_type", 3);
  refused("bias", "all");
  refused("bias", "lora_only");
  refused("task_type", "SEQ_CLS");
  refused("lora_bias", true);
  refused("layer_replication", {{0, 4}, {2, 5}});
  refused("target_parameters", {"mlp.experts.gate_up_proj"});
  refused("alora_invocation_tokens", {5});
  refused("use_qalora", true);
  refused("use_bdlora", {{"a", 1}});
  refused("monteclora_config", {{"a", 1}});
  refused("arrow_config", {{"top_k", 3}});
  refused("init_lora_weights", "pissa_niter_16");
  refused("init_lora_weights", "olora");
  refused("init_lora_weights", "corda");
  refused("init_lora_weights", "loftq");
}

TEST(PeftConfig, ToleratesWhatDoesNotAndKeepsWhatItDoesNotKnow) {
  Json document = ConfigWith("init_lora_weights", "gaussian");
  for (const char* key : {"eva_config", "corda_config", "lora_ga_config", "loftq_config",
                          "velora_config", "megatron_config", "qalora_group_size", "use_dora",
                          "target_parameters", "layer_replication", "arrow_config"})
    document[key] = nullptr;
  document["loftq_config"] = Json::object();
  document["megatron_core"] = "megatron.core";
  document["from_the_future"] = {{"a", {1, 2}}};
  ASSERT_OK_AND_ASSIGN(const PeftConfig config, ParsePeftConfig(document));
  EXPECT_THAT(config.unknown_keys, ElementsAre("from_the_future"));
  const Json written = PeftConfigToJson(config);
  EXPECT_EQ(written["from_the_future"], document["from_the_future"]);
  EXPECT_EQ(written["init_lora_weights"], "gaussian");
}

TEST(PeftConfig, RefusesWrongTypesByName) {
  const auto wrong = [](const char* key, Json value) {
    SCOPED_TRACE(key);
    EXPECT_ERROR(ParsePeftConfig(ConfigWith(key, std::move(value))), ErrorCode::kDataCorrupt, key);
  };
  wrong("r", 0);
  wrong("r", -4);
  wrong("r", 1e3);
  wrong("r", 1 << 20);
  wrong("lora_alpha", "8");
  wrong("lora_dropout", 1.0);
  wrong("use_rslora", 1);
  wrong("use_dora", 1);
  wrong("target_modules", 3);
  wrong("target_modules", {"a", 3});
  wrong("target_modules", "((a");
  wrong("rank_pattern", {{"q", 0}});
  wrong("rank_pattern", {{"(", 1}});
  wrong("alpha_pattern", {{"q", "1"}});
  wrong("layers_to_transform", {-1});
  wrong("layers_pattern", "h");  // without layers_to_transform
  wrong("base_model_name_or_path", 3);
  wrong("trainable_token_indices", 3);
  wrong("trainable_token_indices", {1, -1});
  wrong("trainable_token_indices", {1, 1});
  wrong("trainable_token_indices", {{"embed_tokens", 1}});
  EXPECT_ERROR(ParsePeftConfig(Json::array()), ErrorCode::kDataCorrupt, "object");
  EXPECT_ERROR(ParsePeftConfig({{"r", 4}}), ErrorCode::kDataCorrupt, "\"peft_type\" is missing");
  EXPECT_ERROR(ParsePeftConfig({{"peft_type", "LORA"}}), ErrorCode::kDataCorrupt,
               "\"r\" is missing");
}

TEST(ModulePattern, CutsOffEndlessBacktracking) {
  const std::string path(200, 'a');
  EXPECT_OK(CheckModulePattern("(a*)*b"));
  EXPECT_FALSE(MatchesModulePattern("(a*)*b", path, PatternMatch::kWholePath));
  EXPECT_FALSE(CheckModulePattern("a)(b").ok());
  EXPECT_FALSE(CheckModulePattern(std::string(5000, 'a')).ok());
}

class PeftAdapterFiles : public ::testing::Test {
 protected:
  PeftAdapterFiles() {
    for (float& value : a_.f32()) value = 1.5F;
    for (float& value : b_.f32()) value = -2.5F;
    config_.rank = 2;
    config_.alpha = 3;
    config_.target_modules = {"q_proj"};
    config_.base_model = "base";
  }
  Status Write(const std::vector<NamedTensor>& tensors, const Json& config) {
    test::WriteAll(temp_ / "adapter_config.json", DumpPretty(config));
    return WriteSafetensors(temp_ / "adapter_model.safetensors", tensors, {});
  }
  Result<PeftAdapter> Open() { return OpenPeftAdapter(temp_.path()); }

  test::TempFolder temp_;
  Tensor a_ = Tensor(DType::kF32, {2, 4});
  Tensor b_ = Tensor(DType::kF32, {3, 2});
  PeftConfig config_;
  const std::string prefix_ = "base_model.model.model.layers.0.self_attn.q_proj";
};

TEST_F(PeftAdapterFiles, RoundTrip) {
  config_.rank_pattern = {{"layers.1.self_attn.q_proj", 2}, {"k_proj", 5}};
  config_.alpha_pattern = {{"layers.1.self_attn.q_proj", 4.5}};
  const std::vector<PeftModule> modules = {
      {"model.layers.0.self_attn.q_proj", a_.view(), b_.view(), 1.5},
      {"model.layers.1.self_attn.q_proj", a_.view(), b_.view(), 2.25}};
  ASSERT_OK(WritePeftAdapter(temp_ / "new/folder", config_, modules));
  ASSERT_OK_AND_ASSIGN(const PeftAdapter read, OpenPeftAdapter(temp_ / "new/folder"));
  ASSERT_EQ(read.modules.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.modules[i].path, modules[i].path);
    EXPECT_EQ(read.modules[i].scale, modules[i].scale);
    EXPECT_EQ(read.modules[i].a.shape, a_.shape());
    EXPECT_TRUE(std::ranges::equal(read.modules[i].a.bytes, a_.bytes()));
    EXPECT_TRUE(std::ranges::equal(read.modules[i].b.bytes, b_.bytes()));
  }
  EXPECT_EQ(read.config.rank_pattern, config_.rank_pattern);
  EXPECT_EQ(read.config.alpha_pattern, config_.alpha_pattern);
  EXPECT_EQ(read.config.base_model, "base");
  const std::string first = test::ReadAll(temp_ / "new/folder/adapter_config.json");
  ASSERT_OK(WritePeftAdapter(temp_ / "again", read.config, read.modules));
  EXPECT_EQ(test::ReadAll(temp_ / "again/adapter_config.json"), first);
}

TEST_F(PeftAdapterFiles, WriterRefusesWhatTheConfigDoesNotSay) {
  const auto bad = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {{"q_proj", a_.view(), b_.view(), 1.0}}),
               bad, "the config gives it 1.5");
  config_.rank = 3;
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {{"q_proj", a_.view(), b_.view(), 1.0}}),
               ErrorCode::kDataCorrupt, "rank 3");
}

TEST_F(PeftAdapterFiles, RefusesTensorsThatDoNotFit) {
  const Json config = PeftConfigToJson(config_);
  const auto corrupt = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(Open(), ErrorCode::kNotFound, "adapter_config.json");
  ASSERT_OK(Write({{prefix_ + ".lora_A.weight", a_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "has lora_A but no lora_B");
  ASSERT_OK(Write(
      {{prefix_ + ".lora_A.weight", b_.view()}, {prefix_ + ".lora_B.weight", a_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "rank 2");
  ASSERT_OK(Write({{"q_proj.lora_A.weight", a_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "names start with");
  ASSERT_OK(Write({{prefix_ + ".lora_magnitude_vector", a_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "neither lora_A nor lora_B");
  ASSERT_OK(Write({{prefix_ + ".lora_embedding_A", a_.view()}}, config));
  EXPECT_ERROR(Open(), ErrorCode::kUnsupported, "lora_embedding_A");
  ASSERT_OK(Write({{"base_model.model.lm_head.weight", a_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "modules_to_save");
  ASSERT_OK(Write({}, config));
  EXPECT_ERROR(Open(), corrupt, "no adapter tensors");
}

TEST_F(PeftAdapterFiles, HandsOutSavedModules) {
  config_.modules_to_save = {"lm_head"};
  ASSERT_OK(Write({{"base_model.model.lm_head.weight", a_.view()}}, PeftConfigToJson(config_)));
  ASSERT_OK_AND_ASSIGN(const PeftAdapter adapter, Open());
  ASSERT_EQ(adapter.saved.size(), 1U);
  EXPECT_EQ(adapter.saved[0].name, "lm_head.weight");
}

TEST_F(PeftAdapterFiles, WritesSavedModules) {
  config_.modules_to_save = {"lm_head"};
  config_.ensure_weight_tying = true;
  ASSERT_OK(WritePeftAdapter(temp_.path(), config_, {{"q_proj", a_.view(), b_.view(), 1.5}},
                             {{"lm_head.weight", b_.view()}}));
  ASSERT_OK_AND_ASSIGN(const PeftAdapter adapter, Open());
  EXPECT_TRUE(adapter.config.ensure_weight_tying);
  EXPECT_TRUE(adapter.config.unknown_keys.empty());
  ASSERT_EQ(adapter.saved.size(), 1U);
  EXPECT_EQ(adapter.saved[0].name, "lm_head.weight");
  EXPECT_TRUE(std::ranges::equal(adapter.saved[0].tensor.bytes, b_.bytes()));
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {{"q_proj", a_.view(), b_.view(), 1.5}},
                                {{"embed_tokens.weight", b_.view()}}),
               ErrorCode::kInvalidArgument, "'embed_tokens.weight': no module of modules_to_save");
}

TEST_F(PeftAdapterFiles, MagnitudesOfDora) {
  config_.dora = true;
  Tensor magnitude(DType::kF32, {3});
  for (float& value : magnitude.f32()) value = 0.75F;
  PeftModule module = {"model.layers.0.self_attn.q_proj", a_.view(), b_.view(), 1.5};
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {module}), ErrorCode::kDataCorrupt,
               "no lora_magnitude_vector");
  module.magnitude = magnitude.view();
  ASSERT_OK(WritePeftAdapter(temp_.path(), config_, {module}));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(temp_ / "adapter_model.safetensors"));
  EXPECT_NE(file.Find(prefix_ + ".lora_magnitude_vector"), nullptr);
  ASSERT_OK_AND_ASSIGN(const PeftAdapter adapter, Open());
  EXPECT_TRUE(adapter.config.dora);
  ASSERT_EQ(adapter.modules.size(), 1U);
  ASSERT_TRUE(adapter.modules[0].magnitude.has_value());
  EXPECT_TRUE(std::ranges::equal(adapter.modules[0].magnitude->bytes, magnitude.bytes()));
  config_.dora = false;
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {module}), ErrorCode::kDataCorrupt,
               "a lora_magnitude_vector with \"use_dora\": false");
  config_.dora = true;
  module.magnitude = a_.view();
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {module}), ErrorCode::kDataCorrupt,
               "expected [3]");
}

TEST_F(PeftAdapterFiles, RowsOfTokensAlone) {
  config_.target_modules.clear();
  config_.target_pattern = kNoModules;
  config_.token_rows = {{"", {7, 3, 5}}};
  EXPECT_TRUE(config_.TargetsNothing());
  EXPECT_FALSE(config_.Targets("model.layers.0.self_attn.q_proj"));
  ASSERT_OK(WritePeftAdapter(temp_.path(), config_, {}, {},
                             {{"model.embed_tokens", {7, 3, 5}, b_.view()}}));
  ASSERT_OK_AND_ASSIGN(const Json written, ReadJsonFile(temp_ / "adapter_config.json"));
  EXPECT_EQ(written["trainable_token_indices"], Json({7, 3, 5}));
  EXPECT_EQ(written["target_modules"], "dummy-target-modules");
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(temp_ / "adapter_model.safetensors"));
  EXPECT_THAT(file.Names(), ElementsAre("base_model.model.model.embed_tokens.token_adapter."
                                        "trainable_tokens_delta"));
  ASSERT_OK_AND_ASSIGN(const PeftAdapter adapter, Open());
  EXPECT_TRUE(adapter.config.TargetsNothing());
  EXPECT_EQ(adapter.config.token_rows, config_.token_rows);
  ASSERT_EQ(adapter.rows.size(), 1U);
  EXPECT_EQ(adapter.rows[0].path, "model.embed_tokens");
  EXPECT_THAT(adapter.rows[0].tokens, ElementsAre(7, 3, 5));
  EXPECT_TRUE(std::ranges::equal(adapter.rows[0].values.bytes, b_.bytes()));
}

// A dictionary names modules; rows of one that is tied to another are in the file once.
TEST_F(PeftAdapterFiles, RowsOfTokensByModule) {
  const std::string rows = ".token_adapter.trainable_tokens_delta";
  const std::string embedding = "base_model.model.model.embed_tokens" + rows;
  const std::string head = "base_model.model.lm_head" + rows;
  const auto corrupt = ErrorCode::kDataCorrupt;
  Json config = PeftConfigToJson(config_);
  config["trainable_token_indices"] = {{"embed_tokens", {1, 2, 3}}, {"lm_head", {4, 5}}};
  ASSERT_OK(Write({{embedding, b_.view()}, {head, a_.view()}}, config));
  ASSERT_OK_AND_ASSIGN(const PeftAdapter adapter, Open());
  ASSERT_EQ(adapter.rows.size(), 2U);
  EXPECT_EQ(adapter.rows[0].path, "lm_head");
  EXPECT_THAT(adapter.rows[0].tokens, ElementsAre(4, 5));
  EXPECT_THAT(adapter.rows[1].tokens, ElementsAre(1, 2, 3));
  EXPECT_EQ(PeftConfigToJson(adapter.config)["trainable_token_indices"],
            config["trainable_token_indices"]);
  ASSERT_OK(Write({{embedding, b_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "for the 2 tokens that the config names of lm_head");
  config["trainable_token_indices"] = {{"embed_tokens", {1, 2, 3}}, {"lm_head", {1, 2, 3}}};
  ASSERT_OK(Write({{embedding, b_.view()}}, config));
  EXPECT_OK(Open());
  ASSERT_OK(Write({{embedding, a_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "the config names 3 tokens: [3, width] expected");
  config["trainable_token_indices"] = {{"lm_head", {1, 2, 3}}};
  ASSERT_OK(Write({{embedding, b_.view()}}, config));
  EXPECT_ERROR(Open(), corrupt, "trainable_token_indices do not name its module");
  config["trainable_token_indices"] = nullptr;
  EXPECT_ERROR(WritePeftAdapter(temp_.path(), config_, {}, {}, {{"lm_head", {1}, b_.view()}}),
               ErrorCode::kInvalidArgument, "not the tokens");
}

}  // namespace
}  // namespace metier::format

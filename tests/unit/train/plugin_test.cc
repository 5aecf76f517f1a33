// libmetier_train.so through its C door, loaded as the program loads it: every call gets an answer,
// whatever is asked.
#include <dlfcn.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "engine/native_model.h"
#include "metier/train_plugin.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using ::testing::HasSubstr;

class Plugin : public Trainer {
 protected:
  void SetUp() override {
    Trainer::SetUp();
    const char* folder = std::getenv("METIER_BIN");
    ASSERT_NE(folder, nullptr) << "METIER_BIN names the folder of libmetier_train.so";
    const std::string path = std::string(folder) + "/libmetier_train.so";
    // Never closed: LibTorch's threads do not survive that.
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle, nullptr) << ::dlerror();
    const auto abi = reinterpret_cast<metier_train_abi_fn>(::dlsym(handle, "metier_train_abi"));
    call_ = reinterpret_cast<metier_train_call_fn>(::dlsym(handle, "metier_train_call"));
    free_ = reinterpret_cast<metier_train_free_fn>(::dlsym(handle, "metier_train_free"));
    ASSERT_TRUE(abi != nullptr && call_ != nullptr && free_ != nullptr);
    EXPECT_EQ(abi(), METIER_TRAIN_ABI);
  }

  // The reply of a call that must return `status`.
  Json Ask(const char* verb, const char* request, int status,
           const metier_train_callbacks* callbacks = nullptr) {
    char* reply = nullptr;
    EXPECT_EQ(call_(verb, request, callbacks, &reply), status);
    const std::string text = reply == nullptr ? "" : reply;
    free_(reply);
    const Result<Json> parsed = ParseJson(text);
    EXPECT_TRUE(parsed.ok()) << text;
    return parsed.ok() ? *parsed : Json();
  }

  // "code: message" of a call that must fail.
  std::string Refusal(const char* verb, const std::string& request) {
    const Json reply = Ask(verb, request.c_str(), 1);
    const Json error = reply.is_object() ? reply.value("error", Json()) : Json();
    if (!error.is_object()) return "no error";
    return error.value("code", "") + ": " + error.value("message", "");
  }

  metier_train_call_fn call_ = nullptr;
  metier_train_free_fn free_ = nullptr;
};

TEST_F(Plugin, TellsWhatItIs) {
  const Json info = Ask("info", "{}", 0);
  EXPECT_TRUE(info.at("libtorch").is_string());
  EXPECT_TRUE(info.at("cuda").is_boolean());
  EXPECT_GE(info.at("threads").get<int>(), 1);
}

TEST_F(Plugin, RefusesUnknownVerbsWithTheNearest) {
  EXPECT_EQ(Refusal("trian", "{}"),
            "invalid argument: the plug-in has no verb 'trian': did you mean 'train'?");
  EXPECT_THAT(Refusal("", "{}"), HasSubstr("expected one of info, train, plan, logits, "));
}

TEST_F(Plugin, RefusesWhatIsNotAnObjectOfItsFields) {
  const std::string deep(100000, '[');
  for (const char* verb : {"info", "train", "plan", "logits", "edit"}) {
    for (const std::string& request :
         {std::string(), std::string("{"), std::string("{\"a\": 1,}"), std::string("{} {}"),
          std::string("\"\xff\""), std::string("nul"), deep}) {
      EXPECT_THAT(Refusal(verb, request), HasSubstr("JSON")) << verb << " " << request.substr(0, 9);
    }
  }
  for (const char* verb : {"train", "plan", "logits", "edit"}) {
    for (const char* request : {"null", "[]", "7", "\"text\"", "{}", "{\"oops\": 1}",
                                "{\"threads\": -1}", "{\"threads\": 1e99}", "{\"out\": {}}"}) {
      EXPECT_THAT(Refusal(verb, request), ::testing::StartsWith("data corrupt: "))
          << verb << " " << request;
    }
  }
  EXPECT_THAT(Refusal("train", "{\"oops\": 1}"), HasSubstr("unknown key"));
}

TEST_F(Plugin, SurvivesMissingPointers) {
  EXPECT_THAT(Ask(nullptr, "{}", 1).dump(), HasSubstr("without a verb or request"));
  EXPECT_THAT(Ask("info", nullptr, 1).dump(), HasSubstr("without a verb or request"));
  EXPECT_EQ(call_("info", "{}", nullptr, nullptr), 0);
  EXPECT_EQ(call_("nothing", "{}", nullptr, nullptr), 1);
  free_(nullptr);
}

TEST_F(Plugin, ReportsEventsAndStopsWhenAsked) {
  int steps = 0;
  const metier_train_callbacks callbacks = {
      &steps, [](void* context, const char* json) {
        auto* seen = static_cast<int*>(context);
        if (std::string_view(json).find("\"step\"") != std::string_view::npos) ++*seen;
        return *seen >= 3 ? 1 : 0;
      }};
  const std::string request = DumpCompact(TinyRun(folder_, "plugged"));
  const Json reply = Ask("train", request.c_str(), 0, &callbacks);
  EXPECT_EQ(reply.at("steps"), 3);
  EXPECT_TRUE(reply.at("stopped").get<bool>());
  // The program's own tensors are counted by the allocator that the plug-in installs.
  const Json plan = Ask("plan", request.c_str(), 0);
  EXPECT_GT(plan.at("memory").at("peak").get<std::int64_t>(),
            plan.at("memory").at("weights_and_moments").get<std::int64_t>());
  EXPECT_EQ(plan.at("fits"), true);
  EXPECT_THAT(Refusal("train", DumpCompact(TinyRun(folder_, "train.safetensors/x"))),
              HasSubstr("Not a directory"));
}

// What could reach past a table: a position, a token, a token type.
TEST_F(Plugin, RefusesInputOutsideTheTablesOfEveryFamily) {
  for (const model::Family* family : model::Families()) {
    SCOPED_TRACE(std::string(family->name));
    const model::ModelSpec spec = family->tiny();
    const std::string model = folder_ / std::string(family->name);
    ASSERT_OK(model::WriteHuggingFaceModel(
        model, spec, tensor::DType::kF32,
        [&](const std::string& name) { return engine::test::RandomParameterOf(spec, name); }));
    Json request = {{"model", model}, {"out", folder_ / "out"}};
    const auto refusal = [&](const Json& tokens, const Json& types = {}) {
      request["tokens"] = Json::array({tokens});
      request.erase("types");
      if (!types.is_null()) request["types"] = Json::array({types});
      return Refusal("logits", DumpCompact(request));
    };
    const auto longest = static_cast<std::size_t>(spec.max_positions);
    EXPECT_THAT(refusal(std::vector<int>(longest + 1)),
                HasSubstr(std::to_string(longest + 1) + " tokens, expected 1 to"));
    EXPECT_THAT(refusal(Json::array()), HasSubstr("0 tokens"));
    EXPECT_THAT(refusal({1, spec.vocab}), HasSubstr("outside the vocabulary"));
    EXPECT_THAT(refusal({1, -1}), HasSubstr("outside the vocabulary"));
    EXPECT_THAT(refusal({1, 2}, {0, spec.types}), HasSubstr("no type"));
    EXPECT_THAT(refusal({1, 2}, {0, -1}), HasSubstr("no type"));
    EXPECT_THAT(refusal({1, 2}, {0}), HasSubstr("not as long"));
    if (!spec.head) continue;
    Json config = LoraRun(model, "long");
    if (!spec.causal) config.update({{"stage", "mlm"}, {"mask_token_id", 1}});
    config["max_seq_len"] = spec.max_positions + 1;
    EXPECT_THAT(Refusal("train", DumpCompact(config)), HasSubstr("max_seq_len: found"));
  }
}

}  // namespace
}  // namespace metier::train

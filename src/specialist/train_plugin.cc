#include "specialist/train_plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/error_json.h"
#include "base/process.h"
#include "metier/train_plugin.h"

namespace metier::specialist {
namespace {

namespace fs = std::filesystem;

constexpr char kFileName[] = "libmetier_train.so";

std::vector<std::string> Places() {
  std::vector<std::string> places;
  if (const char* named = std::getenv("METIER_TRAIN_PLUGIN"); named != nullptr)
    places.emplace_back(named);
  const fs::path program = ProgramFolder();
  places.push_back((program / kFileName).string());
  places.push_back((program / "../lib/metier" / kFileName).lexically_normal().string());
  return places;
}

struct Context {
  const std::function<TrainPlugin::Continue(const Json& event)>* event;
  const TrainPlugin::Answers* answers;
  std::string answer;  // the last one
};

int OnEvent(void* context, const char* json) {
  const auto parsed = ParseJson(json);
  if (!parsed.ok()) return 0;
  const auto& event = *static_cast<Context*>(context)->event;
  return event(*parsed) == TrainPlugin::Continue::kStop ? 1 : 0;
}

Result<Json> AnswerOf(const TrainPlugin::Answers& answers, const char* json) {
  METIER_ASSIGN(const Json question, ParseJson(json));
  if (!answers)
    return Error(ErrorCode::kUnsupported, "the program answers no questions in this place");
  return answers(question);
}

const char* OnQuestion(void* given, const char* json) {
  auto& context = *static_cast<Context*>(given);
  const Result<Json> answer = AnswerOf(*context.answers, json);
  context.answer =
      DumpCompact(answer.ok() ? *answer : Json{{"error", ErrorToJson(answer.error())}});
  return context.answer.c_str();
}

}  // namespace

struct TrainPlugin::Library {
  metier_train_call_fn call = nullptr;
  metier_train_free_fn free = nullptr;
  // The handle is never closed: LibTorch's threads and static state do not survive an unload.
};

Result<TrainPlugin> TrainPlugin::Load() {
  const std::vector<std::string> places = Places();
  for (const std::string& place : places) {
    std::error_code ignored;
    if (!fs::exists(place, ignored)) continue;
    void* handle = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      return Error(ErrorCode::kIo,
                   fmt::format("'{}' cannot be loaded: {}; scripts/setup installs LibTorch", place,
                               ::dlerror()));
    }
    const auto abi = reinterpret_cast<metier_train_abi_fn>(::dlsym(handle, "metier_train_abi"));
    auto library = std::make_shared<Library>();
    library->call = reinterpret_cast<metier_train_call_fn>(::dlsym(handle, "metier_train_call"));
    library->free = reinterpret_cast<metier_train_free_fn>(::dlsym(handle, "metier_train_free"));
    if (abi == nullptr || library->call == nullptr || library->free == nullptr ||
        abi() != METIER_TRAIN_ABI) {
      return Error(
          ErrorCode::kUnsupported,
          fmt::format("'{}' has interface {}, this program expects {}: build both from one source",
                      place, abi == nullptr ? 0 : abi(), METIER_TRAIN_ABI));
    }
    TrainPlugin plugin;
    plugin.path_ = place;
    plugin.library_ = std::move(library);
    return plugin;
  }
  return Error(ErrorCode::kIo, fmt::format("training needs {}, found in none of {}: build it "
                                           "with -DMETIER_TRAIN=ON (the default), or "
                                           "set METIER_TRAIN_PLUGIN",
                                           kFileName, fmt::join(places, ", ")));
}

Result<Json> TrainPlugin::Call(const std::string& verb, const Json& request,
                               const std::function<Continue(const Json& event)>& event,
                               const Answers& answers) const {
  Context context{&event, &answers, {}};
  const metier_train_callbacks callbacks{&context, &OnEvent, &OnQuestion};
  char* text = nullptr;
  const int failed = library_->call(verb.c_str(), DumpCompact(request).c_str(), &callbacks, &text);
  const std::string copy = text == nullptr ? "" : text;
  library_->free(text);
  METIER_ASSIGN(Json reply, ParseJson(copy));
  if (failed == 0) return reply;
  return ErrorFromJson(reply.is_object() && reply.contains("error") ? reply["error"] : Json());
}

}  // namespace metier::specialist

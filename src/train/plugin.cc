// libmetier_train.so: the C door (include/metier/train_plugin.h). No exception leaves it.
#include "train/plugin.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "base/error_json.h"
#include "metier/train_plugin.h"
#include "train/tensor_memory.h"

namespace metier::train {
namespace {

Result<Json> Call(const char* verb, const char* request, const metier_train_callbacks* callbacks) {
  if (verb == nullptr || request == nullptr)
    return Error(ErrorCode::kInvalidArgument, "the plug-in was called without a verb or request");
  METIER_ASSIGN(const Json document, ParseJson(request));
  TensorMemory::Install();
  EventSink sink;
  if (callbacks != nullptr && callbacks->event != nullptr) {
    sink = [callbacks](const Json& event) {
      return callbacks->event(callbacks->context, DumpCompact(event).c_str()) != 0;
    };
  }
  Ask ask;
  if (callbacks != nullptr && callbacks->ask != nullptr) {
    ask = [callbacks](const Json& question) -> Result<Json> {
      const char* text = callbacks->ask(callbacks->context, DumpCompact(question).c_str());
      METIER_ASSIGN(Json answer, ParseJson(text == nullptr ? "" : text));
      if (answer.is_object() && answer.contains("error")) return ErrorFromJson(answer["error"]);
      return answer;
    };
  }
  auto reply = CallVerb(verb, document, sink, ask);
  TensorMemory::Ours().Release();
  return reply;
}

// A C string that metier_train_free releases; nullptr when there is no memory for it.
char* Copy(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy != nullptr) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

int Reply(const Result<Json>& result, char** reply) {
  Json document;
  if (result.ok()) {
    document = *result;
  } else {
    document["error"] = ErrorToJson(result.error());
  }
  if (reply != nullptr) *reply = Copy(DumpCompact(document));
  return result.ok() ? 0 : 1;
}

}  // namespace
}  // namespace metier::train

#define METIER_EXPORT extern "C" __attribute__((visibility("default")))

METIER_EXPORT int metier_train_abi() { return METIER_TRAIN_ABI; }

METIER_EXPORT int metier_train_call(const char* verb, const char* request,
                                    const metier_train_callbacks* callbacks, char** reply) {
  using metier::Error;
  using metier::ErrorCode;
  if (reply != nullptr) *reply = nullptr;
  try {
    return metier::train::Reply(metier::train::Call(verb, request, callbacks), reply);
  } catch (const std::bad_alloc&) {
    return metier::train::Reply(Error(ErrorCode::kResourceExhausted,
                                      "training ran out of memory; lower max_seq_len or "
                                      "per_device_train_batch_size"),
                                reply);
  } catch (const c10::OutOfMemoryError& problem) {
    return metier::train::Reply(
        Error(ErrorCode::kResourceExhausted,
              std::string("the device ran out of memory; lower max_seq_len or "
                          "per_device_train_batch_size, or free it for this run: ") +
                  problem.what_without_backtrace()),
        reply);
  } catch (const std::exception& problem) {
    // LibTorch reports by exceptions: shapes (our bugs), devices.
    return metier::train::Reply(Error(ErrorCode::kIo, std::string("LibTorch: ") + problem.what()),
                                reply);
  }
}

METIER_EXPORT void metier_train_free(char* reply) { std::free(reply); }

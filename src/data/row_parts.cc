#include "data/row_parts.h"

#include <array>
#include <utility>

#include "text/chat_encode.h"

namespace metier::data::parts {
namespace {

// Takes the flags that say "do not train on this message" out of it: they are the data's, and not
// for templates to see.
Result<std::uint8_t> TakeTrainedFlag(Json& message) {
  std::uint8_t trained = 1;
  for (const char* key : {"weight", "loss_mask", "train"}) {
    const auto found = message.find(key);
    if (found == message.end()) continue;
    const double number = found->is_number() ? found->get<double>() : -1;
    if (found->is_boolean()) {
      trained = found->get<bool>() ? trained : 0;
    } else if (number == 0 || number == 1) {
      trained = number == 1 ? trained : 0;
    } else if (!found->is_null()) {
      return Bad(std::string("'") + key + "' of a message is neither 0 nor 1");
    }
    message.erase(key);
  }
  return trained;
}

Status CheckMessage(const Json& message) {
  if (!message.is_object()) return Bad("a message is not an object");
  const Json* role = Find(message, "role");
  if (role == nullptr || !role->is_string()) return Bad("a message has no role");
  const Json* content = Find(message, "content");
  const bool calls = Find(message, "tool_calls") != nullptr;
  if (content == nullptr && !calls) return Bad("a message has neither content nor tool calls");
  if (content != nullptr && !content->is_string() && !content->is_array())
    return Bad("the content of a message is neither text nor a list of parts");
  return Ok();
}

// {"name", "arguments"} as JSON text, or a list of them.
Result<Json> FunctionCalls(const std::string& value) {
  auto parsed = ParseJson(value);
  if (!parsed.ok()) return Bad("the value of a function_call is not JSON");
  const Json list = parsed->is_array() ? *parsed : Json::array({*parsed});
  Json calls = Json::array();
  for (const Json& function : list) {
    Json call = Json::object();
    call["type"] = "function";
    call["function"] = function;
    calls.push_back(std::move(call));
  }
  Json message = Json::object();
  message["role"] = "assistant";
  message["content"] = nullptr;
  message["tool_calls"] = std::move(calls);
  return message;
}

struct ShareRole {
  std::string_view from;
  const char* role;
};
constexpr std::array<ShareRole, 9> kShareRoles = {{{"human", "user"},
                                                   {"user", "user"},
                                                   {"gpt", "assistant"},
                                                   {"assistant", "assistant"},
                                                   {"system", "system"},
                                                   {"observation", "tool"},
                                                   {"tool", "tool"},
                                                   {"function_call", "call"},
                                                   {"function_response", "tool"}}};

}  // namespace

Error Bad(std::string reason) { return Error(ErrorCode::kDataCorrupt, std::move(reason)); }

const Json* Find(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found == row.end() || found->is_null() ? nullptr : &*found;
}

Json Message(std::string role, const std::string& content) {
  Json message = Json::object();
  message["role"] = std::move(role);
  message["content"] = content;
  return message;
}

Result<std::string> Text(const Json& row, const char* key) {
  const Json* value = Find(row, key);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return Bad(std::string("'") + key + "' is not a text");
  return value->get<std::string>();
}

Result<Json> Tools(const Json& row) {
  const Json* value = Find(row, "tools");
  if (value == nullptr) return Json(nullptr);
  Json tools = *value;
  if (tools.is_string()) {
    if (tools.get_ref<const std::string&>().empty()) return Json(nullptr);
    auto parsed = ParseJson(tools.get_ref<const std::string&>());
    if (!parsed.ok()) return Bad("'tools' is not JSON");
    tools = *std::move(parsed);
  }
  if (!tools.is_array()) return Bad("'tools' is not a list");
  for (const Json& tool : tools)
    if (!tool.is_object()) return Bad("a tool is not an object");
  return tools.empty() ? Json(nullptr) : tools;
}

Status AddMessages(const Json& list, Conversation& conversation) {
  if (!list.is_array()) return Bad("the messages are not a list");
  auto normal = text::NormalizeMessages(list);
  if (!normal.ok()) return Bad("a tool call has no name, or arguments that are no JSON object");
  for (Json& message : *normal) {
    METIER_TRY(CheckMessage(message));
    METIER_ASSIGN(const std::uint8_t trained, TakeTrainedFlag(message));
    conversation.messages.push_back(std::move(message));
    conversation.trained.push_back(trained);
  }
  return Ok();
}

Status CheckLearns(const Conversation& conversation) {
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    if (conversation.messages[i]["role"] == "assistant" && conversation.trained[i] != 0)
      return Ok();
  }
  return Bad("no message of the assistant to learn from");
}

Result<Json> ShareMessage(const Json& turn) {
  if (!turn.is_object()) return Bad("a turn is not an object");
  METIER_ASSIGN(const std::string from, Text(turn, "from"));
  const Json* value = Find(turn, "value");
  if (value == nullptr || !value->is_string()) return Bad("a turn has no text 'value'");
  for (const ShareRole& known : kShareRoles) {
    if (known.from != from) continue;
    if (known.from == "function_call") return FunctionCalls(value->get<std::string>());
    return Message(known.role, value->get<std::string>());
  }
  return Bad("'from' of a turn is none of human, gpt, system, function_call, observation");
}

Result<Json> ShareMessages(const Json& row) {
  const Json* turns = Find(row, "conversations");
  if (turns == nullptr || !turns->is_array()) return Bad("'conversations' is not a list");
  Json messages = Json::array();
  METIER_ASSIGN(const std::string system, Text(row, "system"));
  if (!system.empty()) messages.push_back(Message("system", system));
  bool answers =
      false;  // whose turn it is: questions and results stand at odd places, answers at even
  for (const Json& turn : *turns) {
    METIER_ASSIGN(Json message, ShareMessage(turn));
    const std::string role = message["role"].get<std::string>();
    if (role == "system") {
      if (!messages.empty()) return Bad("a system turn is not the first");
    } else {
      if ((role == "assistant") != answers) return Bad("the turns are out of order");
      answers = !answers;
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

Result<Json> AlpacaMessages(const Json& row) {
  METIER_ASSIGN(const std::string system, Text(row, "system"));
  METIER_ASSIGN(std::string question, Text(row, "instruction"));
  METIER_ASSIGN(const std::string input, Text(row, "input"));
  if (question.empty()) return Bad("'instruction' is empty");
  if (!input.empty()) question += "\n" + input;
  Json messages = Json::array();
  if (!system.empty()) messages.push_back(Message("system", system));
  if (const Json* history = Find(row, "history"); history != nullptr) {
    if (!history->is_array()) return Bad("'history' is not a list");
    for (const Json& turn : *history) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string())
        return Bad("an entry of 'history' is not a pair of texts");
      messages.push_back(Message("user", turn[0].get<std::string>()));
      messages.push_back(Message("assistant", turn[1].get<std::string>()));
    }
  }
  messages.push_back(Message("user", question));
  return messages;
}

}  // namespace metier::data::parts

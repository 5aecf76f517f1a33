#include "worlds/retail/accounts.h"

#include "worlds/tool.h"

namespace metier::worlds::retail {
namespace {

// What a gift card holds; one without a balance is empty.
Amount Balance(const Json& gift_card) {
  const auto balance = gift_card.find("balance");
  return balance == gift_card.end() ? Amount() : Amount(*balance);
}

}  // namespace

Result<const Json*> OrderToBe(const Records& records, const std::string& order_id,
                              std::string_view status, std::string_view action) {
  const Json* order = records.Find("orders", order_id);
  if (order == nullptr) return Error(ErrorCode::kNotFound, "order not found");
  if (TextOf(*order, "status") != status) {
    return Error(ErrorCode::kInvalidArgument,
                 "non-" + std::string(status) + " order cannot be " + std::string(action));
  }
  return order;
}

Result<const Json*> MethodOf(const Records& records, const Json& order, const std::string& id) {
  const Json* user = records.Find("users", TextOf(order, "user_id"));
  if (user == nullptr) return Error(ErrorCode::kNotFound, "user of the order not found");
  const Json& methods = user->at("payment_methods");
  const auto method = methods.find(id);
  if (method == methods.end()) return Error(ErrorCode::kNotFound, "payment method not found");
  return &*method;
}

bool IsGiftCard(const Json& method) { return TextOf(method, "source") == "gift_card"; }

Status CheckCovers(const Json& method, Amount amount, std::string_view purpose) {
  if (!IsGiftCard(method) || !(Balance(method) < amount)) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               "insufficient gift card balance to pay for the " + std::string(purpose));
}

void Credit(Records& records, const Json& order, const std::string& method_id, Amount amount) {
  const Result<const Json*> method = MethodOf(records, order, method_id);
  if (!method.ok() || !IsGiftCard(**method)) return;
  Json* user = records.Change("users", TextOf(order, "user_id"));
  Json& gift_card = user->at("payment_methods").at(method_id);
  gift_card["balance"] = (Balance(gift_card) + amount).Rounded().ToJson();
}

Json AddressOf(const Json& arguments) {
  Json address = Json::object();
  for (const char* name : {"address1", "address2", "city", "state", "country", "zip"})
    address[name] = arguments.at(name);
  return address;
}

Json Transaction(std::string_view type, Amount amount, const std::string& method_id) {
  return {
      {"transaction_type", type}, {"amount", amount.ToJson()}, {"payment_method_id", method_id}};
}

}  // namespace metier::worlds::retail

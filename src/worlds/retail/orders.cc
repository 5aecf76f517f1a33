#include "worlds/retail/accounts.h"
#include "worlds/retail/tools.h"
#include "worlds/tool.h"

namespace metier::worlds::retail {

// A change looks everything up that it needs before it writes: an error leaves the records alone.

Result<std::string> CancelPendingOrder(Records& records, const Json& arguments) {
  const std::string& id = TextOf(arguments, "order_id");
  METIER_TRY(OrderToBe(records, id, "pending", "cancelled"));
  Json& order = *records.Change("orders", id);
  Json& history = order.at("payment_history");
  const Json payments = history;
  for (const Json& payment : payments) {
    const Amount amount(payment.at("amount"));
    const std::string& method = TextOf(payment, "payment_method_id");
    history.push_back(Transaction("refund", amount, method));
    Credit(records, order, method, amount);
  }
  order["status"] = "cancelled";
  order["cancel_reason"] = arguments.at("reason");
  return DumpPython(order);
}

Result<std::string> ModifyPendingOrderAddress(Records& records, const Json& arguments) {
  const std::string& id = TextOf(arguments, "order_id");
  METIER_TRY(OrderToBe(records, id, "pending", "modified"));
  Json& order = *records.Change("orders", id);
  order["address"] = AddressOf(arguments);
  return DumpPython(order);
}

Result<std::string> ModifyPendingOrderPayment(Records& records, const Json& arguments) {
  const std::string& id = TextOf(arguments, "order_id");
  const std::string& new_method = TextOf(arguments, "payment_method_id");
  METIER_ASSIGN(const Json* found, OrderToBe(records, id, "pending", "modified"));
  METIER_ASSIGN(const Json* method, MethodOf(records, *found, new_method));
  const Json& paid = found->at("payment_history");
  if (paid.size() != 1 || TextOf(paid[0], "transaction_type") != "payment") {
    return Error(ErrorCode::kInvalidArgument,
                 "there should be exactly one payment for a pending order");
  }
  const std::string old_method = TextOf(paid[0], "payment_method_id");
  if (old_method == new_method) {
    return Error(ErrorCode::kInvalidArgument,
                 "the new payment method should be different from the current one");
  }
  const Amount amount(paid[0].at("amount"));
  METIER_TRY(CheckCovers(*method, amount, "order"));

  Json& order = *records.Change("orders", id);
  order.at("payment_history").push_back(Transaction("payment", amount, new_method));
  order.at("payment_history").push_back(Transaction("refund", amount, old_method));
  Credit(records, order, new_method, Amount() - amount);
  Credit(records, order, old_method, amount);
  return DumpPython(order);
}

Result<std::string> ModifyUserAddress(Records& records, const Json& arguments) {
  Json* user = records.Change("users", TextOf(arguments, "user_id"));
  if (user != nullptr) (*user)["address"] = AddressOf(arguments);
  return RecordText(user, "user");
}

}  // namespace metier::worlds::retail

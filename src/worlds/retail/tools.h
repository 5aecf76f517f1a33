// worlds/retail/tools.h - the tools of the retail world; retail/domain.cc says what they take.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "worlds/records.h"

namespace metier::worlds::retail {

// lookups.cc: find and show; they change nothing.
Result<std::string> FindUserIdByEmail(Records& records, const Json& arguments);
Result<std::string> FindUserIdByNameZip(Records& records, const Json& arguments);
Result<std::string> GetOrderDetails(Records& records, const Json& arguments);
Result<std::string> GetProductDetails(Records& records, const Json& arguments);
Result<std::string> GetUserDetails(Records& records, const Json& arguments);
Result<std::string> ListAllProductTypes(Records& records, const Json& arguments);

// orders.cc: an order or a user as a whole.
Result<std::string> CancelPendingOrder(Records& records, const Json& arguments);
Result<std::string> ModifyPendingOrderAddress(Records& records, const Json& arguments);
Result<std::string> ModifyPendingOrderPayment(Records& records, const Json& arguments);
Result<std::string> ModifyUserAddress(Records& records, const Json& arguments);

// items.cc: some items of an order.
Result<std::string> ExchangeDeliveredOrderItems(Records& records, const Json& arguments);
Result<std::string> ModifyPendingOrderItems(Records& records, const Json& arguments);
Result<std::string> ReturnDeliveredOrderItems(Records& records, const Json& arguments);

}  // namespace metier::worlds::retail

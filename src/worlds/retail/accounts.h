// worlds/retail/accounts.h - orders in the right state, and the payment methods of who ordered.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "worlds/amount.h"
#include "worlds/records.h"

namespace metier::worlds::retail {

// The order, which has this status. kNotFound: no such order. kInvalidArgument: another status:
// "non-pending order cannot be cancelled" with `action` "cancelled".
Result<const Json*> OrderToBe(const Records& records, const std::string& order_id,
                              std::string_view status, std::string_view action);

// A payment method of the order's user. kNotFound: the user has no such method.
Result<const Json*> MethodOf(const Records& records, const Json& order, const std::string& id);

bool IsGiftCard(const Json& method);

// kInvalidArgument: a gift card that holds less than the amount; `purpose` names what it is for.
Status CheckCovers(const Json& method, Amount amount, std::string_view purpose);

// Adds the amount, which may be below 0, to the balance of a gift card of the order's user; other
// methods, and those that the user does not have, are settled outside the records.
void Credit(Records& records, const Json& order, const std::string& method_id, Amount amount);

// The arguments address1 ... zip as records have an address.
Json AddressOf(const Json& arguments);

// One row of an order's payment history.
Json Transaction(std::string_view type, Amount amount, const std::string& method_id);

}  // namespace metier::worlds::retail

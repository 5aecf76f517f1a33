#include <algorithm>
#include <vector>

#include "worlds/retail/accounts.h"
#include "worlds/retail/tools.h"
#include "worlds/tool.h"

namespace metier::worlds::retail {
namespace {

// A list of ids as the records keep it: sorted.
Json SortedIds(const Json& ids) {
  std::vector<std::string> sorted = ids.get<std::vector<std::string>>();
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// For each id the place in the order's items that is meant, a place of its own even where an order
// has an item twice. kNotFound: more of an item than were ordered.
Result<std::vector<std::size_t>> PlacesOf(const Json& order, const Json& item_ids) {
  const Json& items = order.at("items");
  std::vector<bool> taken(items.size());
  std::vector<std::size_t> places;
  for (const Json& id : item_ids) {
    std::size_t place = 0;
    while (place < items.size() && (taken[place] || items[place].at("item_id") != id)) ++place;
    if (place == items.size())
      return Error(ErrorCode::kNotFound, id.get<std::string>() + " not found");
    taken[place] = true;
    places.push_back(place);
  }
  return places;
}

struct Swap {
  std::size_t place;    // in the order's items
  const Json* variant;  // of the same product, which is to take the place
};

struct Swaps {
  std::vector<Swap> list;
  Amount difference;  // what the new items cost more
};

// What an exchange and a modification have in common.
Result<Swaps> ReadSwaps(const Records& records, const Json& order, const Json& arguments) {
  METIER_ASSIGN(const std::vector<std::size_t> places, PlacesOf(order, arguments.at("item_ids")));
  const Json& new_ids = arguments.at("new_item_ids");
  if (new_ids.size() != places.size()) {
    return Error(ErrorCode::kInvalidArgument, "the number of items to be exchanged should match");
  }
  Swaps swaps;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Json& item = order.at("items")[places[i]];
    const std::string& new_id = new_ids[i].get_ref<const std::string&>();
    const Json* product = records.Find("products", TextOf(item, "product_id"));
    const Json* variant = nullptr;
    if (product != nullptr) {
      const auto found = product->at("variants").find(new_id);
      if (found != product->at("variants").end()) variant = &*found;
    }
    if (variant == nullptr || !variant->at("available").get<bool>())
      return Error(ErrorCode::kNotFound, "new item " + new_id + " not found or available");
    swaps.difference = swaps.difference + (Amount(variant->at("price")) - Amount(item.at("price")));
    swaps.list.push_back({places[i], variant});
  }
  return swaps;
}

}  // namespace

Result<std::string> ExchangeDeliveredOrderItems(Records& records, const Json& arguments) {
  const std::string& id = TextOf(arguments, "order_id");
  METIER_ASSIGN(const Json* found, OrderToBe(records, id, "delivered", "exchanged"));
  METIER_ASSIGN(const Swaps swaps, ReadSwaps(records, *found, arguments));
  METIER_ASSIGN(const Json* method,
                MethodOf(records, *found, TextOf(arguments, "payment_method_id")));
  const Amount difference = swaps.difference.Rounded();
  METIER_TRY(CheckCovers(*method, difference, "price difference"));

  // The items change hands later, and so does the money.
  Json& order = *records.Change("orders", id);
  order["status"] = "exchange requested";
  order["exchange_items"] = SortedIds(arguments.at("item_ids"));
  order["exchange_new_items"] = SortedIds(arguments.at("new_item_ids"));
  order["exchange_payment_method_id"] = arguments.at("payment_method_id");
  order["exchange_price_difference"] = difference.ToJson();
  return DumpPython(order);
}

Result<std::string> ModifyPendingOrderItems(Records& records, const Json& arguments) {
  const std::string& id = TextOf(arguments, "order_id");
  const std::string& method_id = TextOf(arguments, "payment_method_id");
  METIER_ASSIGN(const Json* found, OrderToBe(records, id, "pending", "modified"));
  METIER_ASSIGN(const Swaps swaps, ReadSwaps(records, *found, arguments));
  METIER_ASSIGN(const Json* method, MethodOf(records, *found, method_id));
  METIER_TRY(CheckCovers(*method, swaps.difference, "price difference"));

  Json& order = *records.Change("orders", id);
  const bool costs_more = Amount() < swaps.difference;
  // Not rounded: so the recorded histories have it.
  order.at("payment_history")
      .push_back(
          Transaction(costs_more ? "payment" : "refund", swaps.difference.Absolute(), method_id));
  Credit(records, order, method_id, Amount() - swaps.difference);
  for (const Swap& swap : swaps.list) {
    Json& item = order.at("items")[swap.place];
    for (const char* name : {"item_id", "price", "options"}) item[name] = swap.variant->at(name);
  }
  order["status"] = "pending (item modified)";
  return DumpPython(order);
}

Result<std::string> ReturnDeliveredOrderItems(Records& records, const Json& arguments) {
  const std::string& id = TextOf(arguments, "order_id");
  const std::string& method_id = TextOf(arguments, "payment_method_id");
  METIER_ASSIGN(const Json* found, OrderToBe(records, id, "delivered", "returned"));
  METIER_ASSIGN(const Json* method, MethodOf(records, *found, method_id));
  const Json& history = found->at("payment_history");
  const bool original = !history.empty() && TextOf(history[0], "payment_method_id") == method_id;
  if (!original && !IsGiftCard(*method)) {
    return Error(ErrorCode::kInvalidArgument,
                 "payment method should be either the original payment method or a gift card");
  }
  METIER_TRY(PlacesOf(*found, arguments.at("item_ids")));

  Json& order = *records.Change("orders", id);
  order["status"] = "return requested";
  order["return_items"] = SortedIds(arguments.at("item_ids"));
  order["return_payment_method_id"] = method_id;
  return DumpPython(order);
}

}  // namespace metier::worlds::retail

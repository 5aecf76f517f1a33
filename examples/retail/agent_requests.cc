// retail/agent_requests.cc - how the agent serves each request; the sections of policy.md beside
// it.
#include <algorithm>

#include "retail/agent.h"

namespace metier::retail {
namespace {

int NumberOf(const Json& object, const char* name, int otherwise) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_integer() ? it->get<int>() : otherwise;
}

// How the money comes and goes, in words: "gift_card" -> "gift card".
std::string Plain(std::string text) {
  if (text == "bank_transfer") return "bank account";
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

const Json* OptionOf(const Json& product, const char* field, const std::string& value) {
  if (!product.is_object() || !product.contains("options")) return nullptr;
  for (const Json& option : product["options"]) {
    if (option[field] == value) return &option;
  }
  return nullptr;
}

}  // namespace

Agent::Move Agent::WhereIs() {
  if (auto need = NeedOrder()) return *need;
  const std::string status = TextOf(order_, "status");
  if (status == Name(OrderStatus::kShipped)) return Parcel();
  return Tell(Rule::kLookUp, "tell/" + status);
}

Agent::Move Agent::Parcel() {
  if (parcel_.is_null()) return Call("track_shipment", {{"order_id", facts_.order_id}});
  if (TextOf(parcel_, "status") == Name(ParcelStatus::kLost)) {  // 8.1
    return HandOver("lost_parcel", Rule::kParcelLost);
  }
  if (NumberOf(parcel_, "days_late", 0) >= kLateDays) {  // 8.3
    const auto tier = ParseTier(TextOf(customer_, "tier"));
    return Voucher(LateVoucher(tier.value_or(Tier::kStandard)), "late_delivery", "late_delivery",
                   Rule::kParcelLate);
  }
  return Tell(Rule::kParcelPatience, "tell/" + TextOf(parcel_, "status"));  // 8.2
}

Agent::Move Agent::Voucher(int amount, const std::string& reason, const std::string& name,
                           Rule rule) {
  return Act(rule, name, "create_voucher",
             {{"customer_id", customer_["customer_id"]}, {"amount", amount}, {"reason", reason}});
}

Agent::Move Agent::Cancel() {
  if (auto need = NeedOrder()) return *need;
  const auto status = ParseOrderStatus(TextOf(order_, "status"));
  if (status && IsClosed(*status)) return Refuse(Rule::kOrderClosed, "refuse/closed_order");  // 2.4
  if (!status || !MayStillChange(*status)) {
    return Refuse(Rule::kCancelTooLate, "refuse/cancel");  // 2.2
  }
  if (facts_.reason.empty()) return AskFor(Ask::kReason, "ask/cancel_reason");  // 2.3
  return Act(Rule::kCancelOpen, "cancel", "cancel_order",
             {{"order_id", facts_.order_id}, {"reason", facts_.reason}});
}

Agent::Move Agent::ChangeAddress() {
  if (auto need = NeedOrder()) return *need;
  const auto status = ParseOrderStatus(TextOf(order_, "status"));
  if (status && IsClosed(*status)) return Refuse(Rule::kOrderClosed, "refuse/closed_order");
  if (!status || !MayStillChange(*status)) {
    return Refuse(Rule::kAddressFixed, "refuse/address");  // 3.2
  }
  if (facts_.street.empty()) return AskFor(Ask::kAddress, "ask/address");
  return Act(Rule::kAddressOpen, "address", "change_address",
             {{"order_id", facts_.order_id},
              {"street", facts_.street},
              {"city", facts_.city},
              {"postcode", facts_.new_postcode}});
}

Agent::Move Agent::Return() {
  if (auto need = NeedDelivered()) return *need;
  const std::string state = TextOf(*Item(), "return");
  if (state == Name(ReturnState::kFinalSale)) {
    return Refuse(Rule::kFinalSale, "refuse/final_sale");  // 4.2
  }
  if (state == Name(ReturnState::kClosed)) {
    return Refuse(Rule::kReturnClosed, "refuse/return");  // 4.5
  }
  if (facts_.reason.empty()) return AskFor(Ask::kReason, "ask/return_reason");  // 4.4
  return Act(Rule::kReturnOpen, "return", "start_return",
             {{"order_id", facts_.order_id}, {"sku", (*Item())["sku"]}, {"reason", facts_.reason}});
}

Agent::Move Agent::Exchange() {
  if (auto need = NeedDelivered()) return *need;
  const std::string state = TextOf(*Item(), "return");
  if (state == Name(ReturnState::kFinalSale)) return Refuse(Rule::kFinalSale, "refuse/final_sale");
  if (state == Name(ReturnState::kClosed)) return Refuse(Rule::kReturnClosed, "refuse/return");
  if (facts_.option.empty()) return AskFor(Ask::kOption, "ask/option");
  if (product_.is_null()) return Call("get_product", {{"sku", (*Item())["sku"]}});
  const Json* wanted = OptionOf(product_, "option", facts_.option);
  if (wanted == nullptr || NumberOf(*wanted, "stock", 0) == 0) {
    return Refuse(Rule::kExchangeNoStock, "refuse/no_stock");  // 5.2
  }
  return Act(
      Rule::kExchangeOpen, "exchange", "exchange_item",
      {{"order_id", facts_.order_id}, {"sku", (*Item())["sku"]}, {"new_sku", (*wanted)["sku"]}});
}

Agent::Move Agent::Damaged() {
  if (auto need = NeedDelivered()) return *need;
  if (NumberOf(order_, "days_since_delivery", 0) > kClaimDays) {
    return Refuse(Rule::kClaimTooLate, "refuse/claim");  // 7.4
  }
  if (facts_.wish == Wish::kUnsaid) return AskFor(Ask::kWish, "ask/wish");
  const Json& sku = (*Item())["sku"];
  if (facts_.wish == Wish::kSameAgain) {
    if (product_.is_null()) return Call("get_product", {{"sku", sku}});
    const Json* same = OptionOf(product_, "sku", sku.get<std::string>());
    if (same != nullptr && NumberOf(*same, "stock", 0) > 0) {
      return Act(Rule::kDamaged, "replace", "exchange_item",
                 {{"order_id", facts_.order_id}, {"sku", sku}, {"new_sku", sku}});
    }
    if (!confirmed_) return AskFor(Ask::kConfirm, "confirm/refund_no_stock");  // 7.2
  }
  return Act(Rule::kDamaged, "refund", "refund_item",
             {{"order_id", facts_.order_id}, {"sku", sku}, {"reason", "damaged"}});
}

Agent::Move Agent::Missing() {
  if (auto need = NeedDelivered()) return *need;
  if (NumberOf(order_, "days_since_delivery", 0) > kClaimDays) {
    return Refuse(Rule::kClaimTooLate, "refuse/claim");  // 7.4
  }
  return Act(Rule::kMissing, "refund", "refund_item",
             {{"order_id", facts_.order_id}, {"sku", (*Item())["sku"]}, {"reason", "missing"}});
}

Agent::Move Agent::Faulty() {
  if (auto need = NeedDelivered()) return *need;
  if (TextOf(*Item(), "return") != Name(ReturnState::kOpen) &&
      TextOf(*Item(), "warranty") != "valid") {
    return Refuse(Rule::kWarrantyOver, "refuse/warranty");  // 9.2
  }
  return Act(Rule::kFaultCovered, "return", "start_return",
             {{"order_id", facts_.order_id}, {"sku", (*Item())["sku"]}, {"reason", "faulty"}});
}

Agent::Move Agent::PriceDrop() {
  if (auto need = NeedItem()) return *need;
  if (TextOf(*Item(), "return") == Name(ReturnState::kDone)) {
    return Refuse(Rule::kOrderClosed, "refuse/closed");
  }
  if (NumberOf(order_, "days_since_delivery", 0) > kPriceDropDays) {
    return Refuse(Rule::kPriceStays, "refuse/price_late");  // 10.2
  }
  if (product_.is_null()) return Call("get_product", {{"sku", (*Item())["sku"]}});
  if (product_["on_sale"] != true) return Refuse(Rule::kPriceStays, "refuse/price_same");
  return Act(Rule::kPriceDrop, "price_drop", "refund_item",
             {{"order_id", facts_.order_id}, {"sku", (*Item())["sku"]}, {"reason", "price_drop"}});
}

Agent::Move Agent::Loyalty() {
  if (auto need = NeedCustomer()) return *need;
  const int amount = LoyaltyVoucher(ParseTier(TextOf(customer_, "tier")).value_or(Tier::kStandard));
  if (amount == 0) return Refuse(Rule::kNoLoyaltyGift, "refuse/loyalty");  // 11.3
  return Voucher(amount, "loyalty", "loyalty", Rule::kLoyaltyGift);
}

Agent::Move Agent::ProductInfo() {
  if (product_.is_null()) return Call("get_product", {{"sku", facts_.sku}});
  if (product_.contains("error")) return AskFor(Ask::kSkuAgain, "ask/sku_again");
  if (facts_.topic != "stock") return Tell(Rule::kPublic, "tell/product_" + facts_.topic);
  const Json* option = OptionOf(product_, "sku", facts_.sku);
  const bool there = option != nullptr && NumberOf(*option, "stock", 0) > 0;
  return Tell(Rule::kPublic, there ? "tell/in_stock" : "tell/out_of_stock");
}

Agent::Move Agent::Search() {
  if (found_.is_null()) {
    Json arguments = {{"kind", facts_.kind}};
    if (!facts_.colour.empty()) arguments["colour"] = facts_.colour;
    if (facts_.max_price != 0) arguments["max_price"] = facts_.max_price;
    return Call("search_products", std::move(arguments));
  }
  return Tell(Rule::kPublic, found_["results"].empty() ? "tell/nothing_found" : "tell/found");
}

Slots Agent::Words() const {
  Slots words;
  words["order_id"] = facts_.order_id;
  const std::string name = TextOf(customer_, "name");
  words["name"] = name.substr(0, name.find(' '));
  words["days"] = TextOf(order_, "days_since_delivery");
  words["status"] = TextOf(order_, "status");
  words["payment"] = Plain(TextOf(order_, "paid_by"));
  words["street"] = facts_.street;
  words["city"] = facts_.city;
  words["postcode"] = facts_.new_postcode;
  words["new_option"] = facts_.option;
  words["kind"] = facts_.kind;
  words["sku"] = facts_.sku;
  if (const Json* item = Item()) {
    words["item"] = TextOf(*item, "item");
    words["option"] = TextOf(*item, "option");
    words["price"] = TextOf(*item, "price");
  }
  words["carrier"] = TextOf(parcel_, "carrier");
  words["tracking"] = TextOf(parcel_, "tracking");
  words["expected"] = TextOf(parcel_, "expected");
  words["days_late"] = TextOf(parcel_, "days_late");
  words["refund"] = TextOf(outcome_, "refund");
  words["to"] = Plain(TextOf(outcome_, "to"));
  words["when"] = TextOf(outcome_, "when");
  words["code"] = TextOf(outcome_, "code");
  const Tier tier = ParseTier(TextOf(customer_, "tier")).value_or(Tier::kStandard);
  words["tier"] = std::string(Name(tier));
  words["late_amount"] = std::to_string(LateVoucher(tier));
  words["loyalty_amount"] = std::to_string(LoyaltyVoucher(tier));
  if (product_.is_object() && !product_.contains("error")) {
    words["item"] = TextOf(product_, "item");
    words["now_price"] = TextOf(product_, "price");
    words["material"] = TextOf(product_, "material");
    words["months"] = TextOf(product_, "warranty_months");
    std::string options;
    for (const Json& option : product_["options"]) {
      options += (options.empty() ? "" : "; ") + TextOf(option, "option");
    }
    words["options"] = options;
    if (const Json* option = OptionOf(product_, "sku", facts_.sku)) {
      words["option"] = TextOf(*option, "option");
      words["stock"] = TextOf(*option, "stock");
    }
  }
  if (found_.is_object() && !found_["results"].empty()) {
    const Json& first = found_["results"][0];
    words["item"] = TextOf(first, "item");
    words["option"] = TextOf(first, "option");
    words["price"] = TextOf(first, "price");
    words["sku"] = TextOf(first, "sku");
  }
  return words;
}

}  // namespace metier::retail

// retail/toolbox_actions.cc - the tools that change something; each enforces its sections of
// policy.md.
#include "retail/policy.h"
#include "retail/toolbox.h"

namespace metier::retail {
namespace {

Json Refund(std::int64_t cents, Payment payment) {
  return Json{{"status", "ok"},
              {"refund", FormatMoney(cents)},
              {"to", Name(payment)},
              {"when", RefundTime(payment)}};  // 6.1
}

}  // namespace

Json ToolBox::CancelOrder(const Json& arguments) {
  const std::optional<std::size_t> index = OwnOrder(arguments);
  if (!index) return Fail("order not found");
  if (!MayStillChange(OrderNow(*index).status)) return Fail("order cannot be cancelled");  // 2.2
  Order& order = Change(*index);
  order.status = OrderStatus::kCancelled;
  order.events.push_back({OrderStatus::kCancelled, world_.today});
  return Refund(order.TotalCents(), order.payment);
}

Json ToolBox::ChangeAddress(const Json& arguments) {
  const std::optional<std::size_t> index = OwnOrder(arguments);
  if (!index) return Fail("order not found");
  if (!MayStillChange(OrderNow(*index).status)) return Fail("address cannot be changed");  // 3.2
  Order& order = Change(*index);
  order.street = Text(arguments, "street");
  order.city = Text(arguments, "city");
  order.postcode = Text(arguments, "postcode");
  return Json{{"status", "ok"}};
}

Json ToolBox::StartReturn(const Json& arguments) {
  const std::optional<Place> place = OwnLine(arguments);
  if (!place) return Fail("item not found in this order");
  const Order& order = OrderNow(place->order);
  const OrderLine& line = order.lines[place->line];
  const ReturnState state = ReturnStateOf(world_, order, line);
  const bool faulty = Text(arguments, "reason") == "faulty";
  const bool covered = faulty && state != ReturnState::kDone && WarrantyRuns(world_, order, line);
  if (state != ReturnState::kOpen && !covered) return Fail("item cannot be returned");  // 4.5, 9.2
  const std::int64_t cents = line.price_cents;
  const Payment payment = order.payment;
  Change(place->order).lines[place->line].state = LineState::kReturned;
  return Refund(cents, payment);
}

Json ToolBox::ExchangeItem(const Json& arguments) {
  const std::optional<Place> place = OwnLine(arguments);
  if (!place) return Fail("item not found in this order");
  const Order& order = OrderNow(place->order);
  const OrderLine& line = order.lines[place->line];
  const std::optional<std::size_t> wanted = Visible(Text(arguments, "new_sku"));
  if (!wanted || world_.variants[*wanted].product != world_.variants[line.variant].product) {
    return Fail("not an option of the same product");  // 5.1
  }
  // 5.1 another option while the window is open; 7.1 the same again for a damaged item.
  const bool allowed = *wanted == line.variant
                           ? ClaimOpen(world_, order, line)
                           : ReturnStateOf(world_, order, line) == ReturnState::kOpen;
  if (!allowed) return Fail("item cannot be exchanged");
  if (StockNow(*wanted) <= 0) return Fail("out of stock");  // 5.2
  ++taken_[*wanted];
  Change(place->order).lines[place->line].state = LineState::kExchanged;
  return Json{{"status", "ok"}, {"ships", "tomorrow"}};
}

Json ToolBox::RefundItem(const Json& arguments) {
  const std::optional<Place> place = OwnLine(arguments);
  if (!place) return Fail("item not found in this order");
  const Order& order = OrderNow(place->order);
  const OrderLine& line = order.lines[place->line];
  const Payment payment = order.payment;
  if (Text(arguments, "reason") == "price_drop") {
    if (!PriceDropOpen(world_, order, line)) return Fail("no price drop to refund");  // 10.2
    const std::int64_t now = world_.ProductOf(line).price_cents;
    if (line.price_cents <= now) return Fail("no price drop to refund");
    const std::int64_t difference = line.price_cents - now;
    Change(place->order).lines[place->line].price_cents = now;
    return Refund(difference, payment);
  }
  if (!ClaimOpen(world_, order, line)) return Fail("item cannot be refunded");  // 7.4
  const std::int64_t cents = line.price_cents;
  Change(place->order).lines[place->line].state = LineState::kRefunded;
  return Refund(cents, payment);
}

Json ToolBox::CreateVoucher(const Json& arguments) {
  if (!verified_ || world_.customers[*verified_].id != Text(arguments, "customer_id")) {
    return Fail("customer not verified");
  }
  const std::string reason = Text(arguments, "reason");
  for (const Effect& effect : effects_) {
    if (effect.tool == "create_voucher" && Text(effect.arguments, "reason") == reason) {
      return Fail("voucher already given");
    }
  }
  const Tier tier = world_.customers[*verified_].tier;
  bool due = reason == "loyalty";  // 11.2
  for (const std::size_t order : world_.OrdersOf(*verified_)) {
    const std::optional<Parcel>& parcel = world_.orders[order].parcel;
    due = due || (parcel && parcel->days_late >= kLateDays);  // 8.3
  }
  const int amount = reason == "loyalty" ? LoyaltyVoucher(tier) : LateVoucher(tier);
  if (!due || amount == 0 || arguments.at("amount").get<int>() != amount) {
    return Fail("no voucher of this amount is due");
  }
  return Json{{"status", "ok"}, {"code", "V" + world_.customers[*verified_].id.substr(1)}};
}

Json ToolBox::Escalate(const Json&) { return Json{{"status", "ok"}, {"wait", "5 minutes"}}; }

}  // namespace metier::retail

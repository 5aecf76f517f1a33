// retail/orders.cc - the orders: what was bought, how far it came, parcels and returns.
#include <algorithm>

#include "retail/generate.h"
#include "retail/phrasebook.h"

namespace metier::retail {
namespace {

OrderStatus PickStatus(Rng& rng) {
  const double x = rng.Uniform();
  if (x < 0.11) return OrderStatus::kPlaced;
  if (x < 0.24) return OrderStatus::kPaid;
  if (x < 0.32) return OrderStatus::kPacked;
  if (x < 0.52) return OrderStatus::kShipped;
  if (x < 0.93) return OrderStatus::kDelivered;
  return x < 0.97 ? OrderStatus::kCancelled : OrderStatus::kReturned;
}

// Days since delivery, so that every window of the policy (14, 30, 60 days; 6, 12, 24, 36 months)
// has orders on both sides of it.
int DaysSinceDelivery(Rng& rng) {
  const double x = rng.Uniform();
  if (x < 0.40) return Between(1, 13, rng);
  if (x < 0.62) return Between(15, 29, rng);
  if (x < 0.80) return Between(31, 90, rng);
  return Between(91, 900, rng);
}

void AddEvents(OrderStatus status, int today, Rng& rng, Order& order) {
  const int paid_after = Between(0, 1, rng);
  const int packed_after = paid_after + Between(0, 1, rng);
  const int shipped_after = packed_after + Between(0, 2, rng);
  const int travel = Between(2, 5, rng);
  int placed = today;
  switch (status) {
    case OrderStatus::kPlaced: break;
    case OrderStatus::kPaid: placed = today - paid_after; break;
    case OrderStatus::kPacked: placed = today - packed_after; break;
    case OrderStatus::kShipped: placed = today - shipped_after - Between(0, 14, rng); break;
    case OrderStatus::kDelivered:
      placed = today - DaysSinceDelivery(rng) - shipped_after - travel;
      break;
    case OrderStatus::kCancelled: placed = today - Between(1, 60, rng); break;
    case OrderStatus::kReturned:
      placed = today - Between(12, 120, rng) - shipped_after - travel;
      break;
  }
  const auto add = [&](OrderStatus event, int day) { order.events.push_back({event, day}); };
  add(OrderStatus::kPlaced, placed);
  if (status == OrderStatus::kPlaced) return;
  if (status == OrderStatus::kCancelled) return add(OrderStatus::kCancelled, placed + 1);
  add(OrderStatus::kPaid, placed + paid_after);
  if (status == OrderStatus::kPaid) return;
  add(OrderStatus::kPacked, placed + packed_after);
  if (status == OrderStatus::kPacked) return;
  add(OrderStatus::kShipped, placed + shipped_after);
  if (status == OrderStatus::kShipped) return;
  add(OrderStatus::kDelivered, placed + shipped_after + travel);
  if (status == OrderStatus::kReturned) {
    add(OrderStatus::kReturned, placed + shipped_after + travel + Between(4, 12, rng));
  }
}

Parcel MakeParcel(const Order& order, int today, IdPool& tracking, std::string_view carrier,
                  Rng& rng) {
  Parcel parcel;
  parcel.tracking = tracking.Next(rng);
  parcel.carrier = std::string(carrier);
  const int shipped = order.DayOf(OrderStatus::kShipped).value_or(today);
  parcel.expected_day = shipped + Between(3, 5, rng);
  if (const std::optional<int> delivered = order.DayOf(OrderStatus::kDelivered)) {
    parcel.status = ParcelStatus::kDelivered;
    parcel.days_late = std::max(0, *delivered - parcel.expected_day);
    return parcel;
  }
  parcel.days_late = std::max(0, today - parcel.expected_day);
  if (parcel.days_late >= 2 && Chance(0.35, rng)) {
    parcel.status = ParcelStatus::kLost;
  } else if (parcel.expected_day <= today + 1 && Chance(0.5, rng)) {
    parcel.status = ParcelStatus::kOutForDelivery;
  }
  return parcel;
}

// One to three lines of different kinds, so that "the kettle" names one line of the order.
void AddLines(const World& world, const std::vector<std::size_t>& variants, Rng& rng,
              Order& order) {
  const double x = rng.Uniform();
  const std::size_t count = x < 0.5 ? 1 : (x < 0.85 ? 2 : 3);
  while (order.lines.size() < count) {
    OrderLine line;
    line.variant = PickOne(variants, rng);
    const Product& product = world.ProductOf(line);
    line.price_cents = product.list_price_cents;  // sales began after every order
    const bool again = std::any_of(order.lines.begin(), order.lines.end(), [&](const auto& other) {
      return world.ProductOf(other).kind == product.kind;
    });
    if (!again) order.lines.push_back(line);
  }
}

void AddReturns(World& world, std::size_t index, Rng& rng) {
  static constexpr const char* kReasons[] = {"changed_mind", "not_as_described", "too_small",
                                             "too_big", "faulty"};
  Order& order = world.orders[index];
  const std::optional<int> delivered = order.DayOf(OrderStatus::kDelivered);
  if (!delivered) return;
  for (std::size_t i = 0; i < order.lines.size(); ++i) {
    const bool whole = order.status == OrderStatus::kReturned;
    const bool returnable = world.ProductOf(order.lines[i]).return_days > 0;
    // One line of a larger order now and then; the rest of the order stays delivered.
    if (!whole && !(i == 0 && order.lines.size() > 1 && returnable && Chance(0.15, rng))) continue;
    const int day = order.DayOf(OrderStatus::kReturned).value_or(*delivered + 1);
    order.lines[i].state = LineState::kReturned;
    const std::size_t reasons =
        world.variants[order.lines[i].variant].size.empty() ? 2 : std::size(kReasons);
    world.returns.push_back({index, i, kReasons[rng.Below(reasons)], std::min(day, world.today)});
  }
}

}  // namespace

void MakeOrders(const WorldOptions& options, World& world) {
  Rng rng(options.seed, /*stream=*/3);
  const std::vector<std::string_view> carriers =
      PhraseBook::Ours().Lines("catalogue/carrier", Split::kTrain);
  IdPool ids("W", 5);
  IdPool tracking("TR", 6);
  std::vector<std::size_t> variants[3];
  for (std::size_t i = 0; i < world.variants.size(); ++i) {
    const Split split = world.products[world.variants[i].product].split;
    variants[static_cast<std::size_t>(split)].push_back(i);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(options.orders); ++i) {
    Order order;
    order.id = ids.Next(rng);
    // Everybody has one order before anybody has two.
    order.customer = i < world.customers.size() ? i : rng.Below(world.customers.size());
    const Customer& customer = world.customers[order.customer];
    order.street = customer.street;
    order.city = customer.city;
    order.postcode = customer.postcode;
    order.payment = static_cast<Payment>(rng.Below(4));
    AddLines(world, variants[static_cast<std::size_t>(customer.split)], rng, order);
    order.status = PickStatus(rng);
    AddEvents(order.status, options.today, rng, order);
    if (order.DayOf(OrderStatus::kShipped)) {
      order.parcel = MakeParcel(order, options.today, tracking, PickOne(carriers, rng), rng);
    }
    world.orders.push_back(std::move(order));
    AddReturns(world, i, rng);
  }
}

}  // namespace metier::retail

#include "retail/world.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "fmt/format.h"

namespace metier::retail {
namespace {

constexpr std::array<std::string_view, 3> kSplits = {"train", "valid", "test"};
constexpr std::array<std::string_view, 3> kTiers = {"standard", "silver", "gold"};
constexpr std::array<std::string_view, 7> kOrderStatuses = {
    "placed", "paid", "packed", "shipped", "delivered", "cancelled", "returned"};
constexpr std::array<std::string_view, 4> kPayments = {"card", "gift_card", "wallet",
                                                       "bank_transfer"};
constexpr std::array<std::string_view, 4> kParcelStatuses = {"in_transit", "out_for_delivery",
                                                             "delivered", "lost"};
constexpr std::array<std::string_view, 4> kLineStates = {"kept", "returned", "refunded",
                                                         "exchanged"};

template <class Enum, std::size_t size>
std::optional<Enum> Parse(const std::array<std::string_view, size>& names, std::string_view name) {
  for (std::size_t i = 0; i < size; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

template <class Map>
std::optional<std::size_t> Find(const Map& map, const std::string& key) {
  const auto it = map.find(key);
  if (it == map.end()) return std::nullopt;
  return it->second;
}

}  // namespace

std::optional<int> Order::DayOf(OrderStatus wanted) const {
  for (const OrderEvent& event : events) {
    if (event.status == wanted) return event.day;
  }
  return std::nullopt;
}

std::int64_t Order::TotalCents() const {
  std::int64_t total = 0;
  for (const OrderLine& line : lines) total += line.price_cents;
  return total;
}

void World::Index() {
  variant_by_sku_.clear();
  order_by_id_.clear();
  customer_by_id_.clear();
  customer_by_email_.clear();
  variants_of_.assign(products.size(), {});
  orders_of_.assign(customers.size(), {});
  for (std::size_t i = 0; i < variants.size(); ++i) {
    variant_by_sku_[variants[i].sku] = i;
    variants_of_[variants[i].product].push_back(i);
  }
  for (std::size_t i = 0; i < customers.size(); ++i) {
    customer_by_id_[customers[i].id] = i;
    customer_by_email_[customers[i].email] = i;
  }
  for (std::size_t i = 0; i < orders.size(); ++i) {
    order_by_id_[orders[i].id] = i;
    orders_of_[orders[i].customer].push_back(i);
  }
  for (std::vector<std::size_t>& list : orders_of_) {
    std::stable_sort(list.begin(), list.end(), [this](std::size_t a, std::size_t b) {
      return orders[a].events.front().day > orders[b].events.front().day;
    });
  }
}

std::optional<std::size_t> World::FindVariant(const std::string& sku) const {
  return Find(variant_by_sku_, sku);
}
std::optional<std::size_t> World::FindOrder(const std::string& id) const {
  return Find(order_by_id_, id);
}
std::optional<std::size_t> World::FindCustomer(const std::string& id) const {
  return Find(customer_by_id_, id);
}
std::optional<std::size_t> World::FindCustomerByEmail(const std::string& email) const {
  return Find(customer_by_email_, email);
}
std::vector<std::size_t> World::OrdersOf(std::size_t customer) const {
  return orders_of_[customer];
}
std::vector<std::size_t> World::VariantsOf(std::size_t product) const {
  return variants_of_[product];
}

std::string_view Name(Split split) { return kSplits[static_cast<std::size_t>(split)]; }
std::string_view Name(Tier tier) { return kTiers[static_cast<std::size_t>(tier)]; }
std::string_view Name(OrderStatus status) {
  return kOrderStatuses[static_cast<std::size_t>(status)];
}
std::string_view Name(Payment payment) { return kPayments[static_cast<std::size_t>(payment)]; }
std::string_view Name(ParcelStatus status) {
  return kParcelStatuses[static_cast<std::size_t>(status)];
}
std::string_view Name(LineState state) { return kLineStates[static_cast<std::size_t>(state)]; }

std::optional<Split> ParseSplit(std::string_view name) { return Parse<Split>(kSplits, name); }
std::optional<Tier> ParseTier(std::string_view name) { return Parse<Tier>(kTiers, name); }
std::optional<OrderStatus> ParseOrderStatus(std::string_view name) {
  return Parse<OrderStatus>(kOrderStatuses, name);
}
std::optional<Payment> ParsePayment(std::string_view name) {
  return Parse<Payment>(kPayments, name);
}
std::optional<ParcelStatus> ParseParcelStatus(std::string_view name) {
  return Parse<ParcelStatus>(kParcelStatuses, name);
}
std::optional<LineState> ParseLineState(std::string_view name) {
  return Parse<LineState>(kLineStates, name);
}

std::string FormatMoney(std::int64_t cents) {
  return fmt::format("{}.{:02}", cents / 100, cents % 100);
}

std::string FormatDay(int day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

Result<int> ParseDay(std::string_view text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  const auto number = [&text](std::size_t begin, std::size_t size, auto* value) {
    const char* first = text.data() + begin;
    const auto parsed = std::from_chars(first, first + size, *value);
    return parsed.ec == std::errc() && parsed.ptr == first + size;
  };
  if (text.size() == 10 && text[4] == '-' && text[7] == '-' && number(0, 4, &year) &&
      number(5, 2, &month) && number(8, 2, &day)) {
    const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                           std::chrono::day{day}};
    if (date.ok()) return static_cast<int>(std::chrono::sys_days{date}.time_since_epoch().count());
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("day '{}': expected a date like 2026-11-20", text));
}

}  // namespace metier::retail

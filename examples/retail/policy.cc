#include "retail/policy.h"

#include <array>

namespace metier::retail {
namespace {

// In the order of Rule.
constexpr std::array<std::string_view, 39> kSections = {
    "1.1",  "1.2",  "1.3",  "1.4",  "1.5",  "2.1",  "2.2",  "2.4",  "3.1",  "3.2",
    "4.1",  "4.2",  "4.3",  "4.5",  "5.1",  "5.2",  "7.1",  "7.2",  "7.3",  "7.4",
    "8.1",  "8.2",  "8.3",  "9.1",  "9.2",  "10.1", "10.2", "11.2", "11.3", "11.4",
    "12.1", "12.2", "12.3", "12.5", "13.1", "13.2", "13.3", "14.1", "14.3"};
static_assert(kSections.size() == static_cast<std::size_t>(Rule::kCustomerSaidNo) + 1);

constexpr std::array<std::string_view, 5> kReturnStates = {"open", "closed", "final_sale",
                                                           "not_delivered", "done"};

}  // namespace

std::string_view Section(Rule rule) { return kSections[static_cast<std::size_t>(rule)]; }
std::string_view Name(ReturnState state) { return kReturnStates[static_cast<std::size_t>(state)]; }

bool MayStillChange(OrderStatus status) {
  return status == OrderStatus::kPlaced || status == OrderStatus::kPaid;
}

bool IsClosed(OrderStatus status) {
  return status == OrderStatus::kCancelled || status == OrderStatus::kReturned;
}

std::optional<int> DaysSinceDelivery(const Order& order, int today) {
  const std::optional<int> delivered = order.DayOf(OrderStatus::kDelivered);
  if (!delivered) return std::nullopt;
  return today - *delivered;
}

ReturnState ReturnStateOf(const World& world, const Order& order, const OrderLine& line) {
  if (IsClosed(order.status) || line.state != LineState::kKept) return ReturnState::kDone;
  const std::optional<int> days = DaysSinceDelivery(order, world.today);
  if (!days) return ReturnState::kNotDelivered;
  const int window = world.ProductOf(line).return_days;
  if (window == 0) return ReturnState::kFinalSale;
  return *days <= window ? ReturnState::kOpen : ReturnState::kClosed;
}

bool WarrantyRuns(const World& world, const Order& order, const OrderLine& line) {
  const std::optional<int> days = DaysSinceDelivery(order, world.today);
  return days && *days <= world.ProductOf(line).warranty_months * kDaysInAMonth;
}

bool ClaimOpen(const World& world, const Order& order, const OrderLine& line) {
  const std::optional<int> days = DaysSinceDelivery(order, world.today);
  return days && *days <= kClaimDays && !IsClosed(order.status) && line.state == LineState::kKept;
}

bool PriceDropOpen(const World& world, const Order& order, const OrderLine& line) {
  if (IsClosed(order.status) || line.state != LineState::kKept) return false;
  const std::optional<int> days = DaysSinceDelivery(order, world.today);
  return world.ProductOf(line).on_sale() && (!days || *days <= kPriceDropDays);
}

int LateVoucher(Tier tier) { return tier == Tier::kGold ? 15 : (tier == Tier::kSilver ? 10 : 5); }

int LoyaltyVoucher(Tier tier) {
  return tier == Tier::kGold ? 20 : (tier == Tier::kSilver ? 10 : 0);
}

std::string_view RefundTime(Payment payment) {
  switch (payment) {
    case Payment::kCard: return "within 5 days";
    case Payment::kBankTransfer: return "within 3 days";
    case Payment::kWallet: return "within 1 day";
    case Payment::kGiftCard: return "at once";
  }
  return "";
}

}  // namespace metier::retail

// retail/policy.h - the rules of policy.md as code: the same facts, thresholds and section numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "retail/world.h"

namespace metier::retail {

// A section of policy.md that decides something. Section(rule) gives its number.
enum class Rule {
  kVerifyFirst,         // 1.1
  kTwoAttempts,         // 1.2
  kOwnOrdersOnly,       // 1.3
  kPublic,              // 1.4
  kAccountUnchanged,    // 1.5
  kCancelOpen,          // 2.1
  kCancelTooLate,       // 2.2
  kOrderClosed,         // 2.4
  kAddressOpen,         // 3.1
  kAddressFixed,        // 3.2
  kReturnOpen,          // 4.1
  kFinalSale,           // 4.2
  kNotDelivered,        // 4.3
  kReturnClosed,        // 4.5
  kExchangeOpen,        // 5.1
  kExchangeNoStock,     // 5.2
  kDamaged,             // 7.1
  kReplacementNoStock,  // 7.2
  kMissing,             // 7.3
  kClaimTooLate,        // 7.4
  kParcelLost,          // 8.1
  kParcelPatience,      // 8.2
  kParcelLate,          // 8.3
  kFaultCovered,        // 9.1
  kWarrantyOver,        // 9.2
  kPriceDrop,           // 10.1
  kPriceStays,          // 10.2
  kLoyaltyGift,         // 11.2
  kNoLoyaltyGift,       // 11.3
  kNoOtherVouchers,     // 11.4
  kPersonOnRequest,     // 12.1
  kPersonForSafety,     // 12.2
  kPersonForLegal,      // 12.3
  kNoExceptions,        // 12.5
  kPrivacy,             // 13.1
  kScope,               // 13.2
  kPolicyHolds,         // 13.3
  kLookUp,              // 14.1
  kCustomerSaidNo,      // 14.3
};

// "2.1"
std::string_view Section(Rule rule);

constexpr int kClaimDays = 30;      // 7.1, 7.3
constexpr int kPriceDropDays = 14;  // 10.1
constexpr int kLateDays = 3;        // 8.3
constexpr int kDaysInAMonth = 30;   // of a warranty: 9.1

// What can be done with an item now; the names are those of the tools' results.
enum class ReturnState { kOpen, kClosed, kFinalSale, kNotDelivered, kDone };
std::string_view Name(ReturnState state);

// 2.1, 3.1: placed or paid.
bool MayStillChange(OrderStatus status);

// 2.4: cancelled or returned.
bool IsClosed(OrderStatus status);

std::optional<int> DaysSinceDelivery(const Order& order, int today);

// 4.1, 4.2, 4.3, 4.5
ReturnState ReturnStateOf(const World& world, const Order& order, const OrderLine& line);

// 9.1: the warranty runs. False for what was not delivered.
bool WarrantyRuns(const World& world, const Order& order, const OrderLine& line);

// 7.1, 7.3: delivered at most 30 days ago, and the item not settled yet.
bool ClaimOpen(const World& world, const Order& order, const OrderLine& line);

// 10.1
bool PriceDropOpen(const World& world, const Order& order, const OrderLine& line);

// 11.1, 11.2: whole dollars; 0 where the tier has none.
int LateVoucher(Tier tier);
int LoyaltyVoucher(Tier tier);

// 6.1: "within 5 days", by how the order was paid.
std::string_view RefundTime(Payment payment);

}  // namespace metier::retail

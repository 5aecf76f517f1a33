// retail/world.h - the shop's facts: products, customers, orders, parcels, returns, reviews.
//
// Plain values in vectors; indices refer into the vectors of the same World. Money is in cents,
// days count from 1970-01-01. The database (database.h) is the same content as tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace metier::retail {

// Whom the training may see. A product and a customer belong to one split for ever; an order
// belongs to its customer's split and holds products of that split only.
enum class Split { kTrain, kValid, kTest };
enum class Tier { kStandard, kSilver, kGold };
enum class OrderStatus { kPlaced, kPaid, kPacked, kShipped, kDelivered, kCancelled, kReturned };
enum class Payment { kCard, kGiftCard, kWallet, kBankTransfer };
enum class ParcelStatus { kInTransit, kOutForDelivery, kDelivered, kLost };
enum class LineState { kKept, kReturned, kRefunded, kExchanged };

struct Product {
  std::string id;    // "P104"
  std::string name;  // "Alder Linen Shirt"
  std::string kind;  // "shirt"
  std::string category;
  std::string material;
  Split split = Split::kTrain;
  std::int64_t list_price_cents = 0;
  std::int64_t price_cents = 0;  // below the list price while on sale
  int return_days = 0;           // 0: final sale
  int warranty_months = 0;

  bool on_sale() const { return price_cents < list_price_cents; }
};

struct Variant {
  std::string sku;  // "K2041"
  std::size_t product = 0;
  std::string colour;
  std::string size;  // "" where the kind has none
  int stock = 0;

  std::string Option() const { return size.empty() ? colour : colour + ", " + size; }
};

struct Customer {
  std::string id;  // "C4821"
  std::string first_name;
  std::string last_name;
  std::string email;
  std::string street;
  std::string city;
  std::string postcode;
  Tier tier = Tier::kStandard;
  Split split = Split::kTrain;

  std::string FullName() const { return first_name + " " + last_name; }
};

struct OrderLine {
  std::size_t variant = 0;
  std::int64_t price_cents = 0;  // as paid
  LineState state = LineState::kKept;
};

struct OrderEvent {
  OrderStatus status = OrderStatus::kPlaced;
  int day = 0;
};

struct Parcel {
  std::string tracking;  // "TR483920"
  std::string carrier;
  ParcelStatus status = ParcelStatus::kInTransit;
  int expected_day = 0;
  int days_late = 0;
};

struct Order {
  std::string id;  // "W48213"
  std::size_t customer = 0;
  OrderStatus status = OrderStatus::kPlaced;
  Payment payment = Payment::kCard;
  std::string street;
  std::string city;
  std::string postcode;
  std::vector<OrderLine> lines;
  std::vector<OrderEvent> events;  // the timeline, oldest first
  std::optional<Parcel> parcel;    // from "shipped" on

  // The day of the event, if it happened.
  std::optional<int> DayOf(OrderStatus wanted) const;
  std::int64_t TotalCents() const;
};

struct ReturnCase {
  std::size_t order = 0;
  std::size_t line = 0;
  std::string reason;
  int day = 0;
};

struct Review {
  std::size_t product = 0;
  std::size_t customer = 0;
  int stars = 0;
  std::string text;
};

struct World {
  std::uint64_t seed = 0;
  int today = 0;
  std::vector<Product> products;
  std::vector<Variant> variants;
  std::vector<Customer> customers;
  std::vector<Order> orders;
  std::vector<ReturnCase> returns;
  std::vector<Review> reviews;

  // Builds the look-ups below; call after the vectors change.
  void Index();
  std::optional<std::size_t> FindVariant(const std::string& sku) const;
  std::optional<std::size_t> FindOrder(const std::string& id) const;
  std::optional<std::size_t> FindCustomer(const std::string& id) const;
  std::optional<std::size_t> FindCustomerByEmail(const std::string& email) const;
  // The orders of a customer, newest first.
  std::vector<std::size_t> OrdersOf(std::size_t customer) const;
  // The variants of a product, in catalogue order.
  std::vector<std::size_t> VariantsOf(std::size_t product) const;

  const Product& ProductOf(const OrderLine& line) const {
    return products[variants[line.variant].product];
  }

 private:
  std::unordered_map<std::string, std::size_t> variant_by_sku_;
  std::unordered_map<std::string, std::size_t> order_by_id_;
  std::unordered_map<std::string, std::size_t> customer_by_id_;
  std::unordered_map<std::string, std::size_t> customer_by_email_;
  std::vector<std::vector<std::size_t>> orders_of_;
  std::vector<std::vector<std::size_t>> variants_of_;
};

// The names that the database, the tools and the command line use ("train", "gift_card", ...), and
// back. The Parse functions return nothing for an unknown name.
std::string_view Name(Split split);
std::string_view Name(Tier tier);
std::string_view Name(OrderStatus status);
std::string_view Name(Payment payment);
std::string_view Name(ParcelStatus status);
std::string_view Name(LineState state);
std::optional<Split> ParseSplit(std::string_view name);
std::optional<Tier> ParseTier(std::string_view name);
std::optional<OrderStatus> ParseOrderStatus(std::string_view name);
std::optional<Payment> ParsePayment(std::string_view name);
std::optional<ParcelStatus> ParseParcelStatus(std::string_view name);
std::optional<LineState> ParseLineState(std::string_view name);

// "39.90"
std::string FormatMoney(std::int64_t cents);
// "2026-11-20", and back. kInvalidArgument: not a day of the calendar in that form.
std::string FormatDay(int day);
Result<int> ParseDay(std::string_view text);

}  // namespace metier::retail

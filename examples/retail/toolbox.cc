#include "retail/toolbox.h"

#include <algorithm>
#include <array>

#include "retail/policy.h"

namespace metier::retail {
namespace {

constexpr std::size_t kSearchResults = 3;  // search_products

}  // namespace

Json ToolBox::Call(std::string_view tool, const Json& arguments) {
  struct Row {
    std::string_view name;
    Json (ToolBox::*run)(const Json&);
    bool changes;  // recorded as an effect when it succeeds
  };
  static constexpr std::array<Row, 14> kRows = {{
      {"find_customer", &ToolBox::FindCustomer, false},
      {"find_customer_by_order", &ToolBox::FindCustomerByOrder, false},
      {"list_orders", &ToolBox::ListOrders, false},
      {"get_order", &ToolBox::GetOrder, false},
      {"track_shipment", &ToolBox::TrackShipment, false},
      {"get_product", &ToolBox::GetProduct, false},
      {"search_products", &ToolBox::SearchProducts, false},
      {"cancel_order", &ToolBox::CancelOrder, true},
      {"change_address", &ToolBox::ChangeAddress, true},
      {"start_return", &ToolBox::StartReturn, true},
      {"exchange_item", &ToolBox::ExchangeItem, true},
      {"refund_item", &ToolBox::RefundItem, true},
      {"create_voucher", &ToolBox::CreateVoucher, true},
      {"escalate_to_human", &ToolBox::Escalate, true},
  }};
  const Status checked = tools_.Check(tool, arguments);
  if (!checked.ok()) return Fail(checked.error().message());
  for (const Row& row : kRows) {
    if (row.name != tool) continue;
    Json result = (this->*row.run)(arguments);
    if (row.changes && !result.contains("error")) {
      effects_.push_back({std::string(tool), arguments});
    }
    return result;
  }
  return Fail("this tool is described but not provided");
}

const Order& ToolBox::OrderNow(std::size_t order) const {
  const auto it = changed_.find(order);
  return it != changed_.end() ? it->second : world_.orders[order];
}

Order& ToolBox::Change(std::size_t order) {
  return changed_.try_emplace(order, world_.orders[order]).first->second;
}

// 1.3: an order of somebody else is as unknown as one that does not exist.
std::optional<std::size_t> ToolBox::OwnOrder(const Json& arguments) const {
  const std::optional<std::size_t> order = world_.FindOrder(Text(arguments, "order_id"));
  if (!order || !verified_ || world_.orders[*order].customer != *verified_) return std::nullopt;
  return order;
}

std::optional<ToolBox::Place> ToolBox::OwnLine(const Json& arguments) const {
  const std::optional<std::size_t> order = OwnOrder(arguments);
  if (!order) return std::nullopt;
  const std::string sku = Text(arguments, "sku");
  const std::vector<OrderLine>& lines = world_.orders[*order].lines;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (world_.variants[lines[i].variant].sku == sku) return Place{*order, i};
  }
  return std::nullopt;
}

std::optional<std::size_t> ToolBox::Visible(const std::string& sku) const {
  const std::optional<std::size_t> variant = world_.FindVariant(sku);
  if (!variant) return std::nullopt;
  const Product& product = world_.products[world_.variants[*variant].product];
  if (view_ && product.split != *view_) return std::nullopt;
  return variant;
}

int ToolBox::StockNow(std::size_t variant) const {
  const auto it = taken_.find(variant);
  return world_.variants[variant].stock - (it != taken_.end() ? it->second : 0);
}

Json ToolBox::Verified(std::size_t customer) {
  verified_ = customer;
  const Customer& found = world_.customers[customer];
  return Json{{"customer_id", found.id}, {"name", found.FullName()}, {"tier", Name(found.tier)}};
}

Json ToolBox::FindCustomer(const Json& arguments) {
  const std::optional<std::size_t> customer = world_.FindCustomerByEmail(Text(arguments, "email"));
  if (!customer || world_.customers[*customer].postcode != Text(arguments, "postcode")) {
    return Fail("no match");  // 1.2: not which of the two was wrong
  }
  return Verified(*customer);
}

Json ToolBox::FindCustomerByOrder(const Json& arguments) {
  const std::optional<std::size_t> order = world_.FindOrder(Text(arguments, "order_id"));
  if (!order || world_.orders[*order].postcode != Text(arguments, "postcode")) {
    return Fail("no match");
  }
  return Verified(world_.orders[*order].customer);
}

Json ToolBox::ListOrders(const Json& arguments) {
  if (!verified_ || world_.customers[*verified_].id != Text(arguments, "customer_id")) {
    return Fail("customer not verified");
  }
  Json orders = Json::array();
  for (const std::size_t index : world_.OrdersOf(*verified_)) {
    if (orders.size() == kListedOrders) break;
    std::string items;
    for (const OrderLine& line : world_.orders[index].lines) {
      items += (items.empty() ? "" : ", ") + world_.ProductOf(line).name;
    }
    orders.push_back(Json{{"items", items}, {"order_id", world_.orders[index].id}});
  }
  return Json{{"orders", orders}};
}

Json ToolBox::GetOrder(const Json& arguments) {
  const std::optional<std::size_t> index = OwnOrder(arguments);
  if (!index) return Fail("order not found");
  const Order& order = OrderNow(*index);
  Json out = {{"order_id", order.id}, {"status", Name(order.status)}};
  if (const auto days = DaysSinceDelivery(order, world_.today)) out["days_since_delivery"] = *days;
  out["paid_by"] = Name(order.payment);
  Json items = Json::array();
  for (const OrderLine& line : order.lines) {
    const Variant& variant = world_.variants[line.variant];
    Json item = {{"item", world_.ProductOf(line).name},
                 {"sku", variant.sku},
                 {"option", variant.Option()},
                 {"price", FormatMoney(line.price_cents)},
                 {"return", Name(ReturnStateOf(world_, order, line))}};
    if (order.DayOf(OrderStatus::kDelivered)) {
      item["warranty"] = WarrantyRuns(world_, order, line) ? "valid" : "over";
    }
    items.push_back(std::move(item));
  }
  out["items"] = std::move(items);
  return out;
}

Json ToolBox::TrackShipment(const Json& arguments) {
  const std::optional<std::size_t> index = OwnOrder(arguments);
  if (!index) return Fail("order not found");
  const std::optional<Parcel>& parcel = world_.orders[*index].parcel;
  if (!parcel) return Fail("not shipped yet");
  return Json{{"tracking", parcel->tracking},
              {"carrier", parcel->carrier},
              {"status", Name(parcel->status)},
              {"expected", FormatDay(parcel->expected_day)},
              {"days_late", parcel->days_late}};
}

Json ToolBox::GetProduct(const Json& arguments) {
  const std::optional<std::size_t> variant = Visible(Text(arguments, "sku"));
  if (!variant) return Fail("product not found");
  const std::size_t index = world_.variants[*variant].product;
  const Product& product = world_.products[index];
  Json options = Json::array();
  for (const std::size_t other : world_.VariantsOf(index)) {
    options.push_back(Json{{"option", world_.variants[other].Option()},
                           {"sku", world_.variants[other].sku},
                           {"stock", StockNow(other)}});
  }
  return Json{{"item", product.name},
              {"material", product.material},
              {"price", FormatMoney(product.price_cents)},
              {"on_sale", product.on_sale()},
              {"warranty_months", product.warranty_months},
              {"options", options}};
}

Json ToolBox::SearchProducts(const Json& arguments) {
  const std::string kind = Text(arguments, "kind");
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < world_.variants.size(); ++i) {
    const Variant& variant = world_.variants[i];
    const Product& product = world_.products[variant.product];
    if (product.kind != kind || StockNow(i) == 0 || (view_ && product.split != *view_)) continue;
    if (arguments.contains("colour") && variant.colour != Text(arguments, "colour")) continue;
    if (arguments.contains("max_price") &&
        product.price_cents > arguments["max_price"].get<std::int64_t>() * 100) {
      continue;
    }
    found.push_back(i);
  }
  std::stable_sort(found.begin(), found.end(), [this](std::size_t a, std::size_t b) {
    return world_.products[world_.variants[a].product].price_cents <
           world_.products[world_.variants[b].product].price_cents;
  });
  if (found.size() > kSearchResults) found.resize(kSearchResults);
  Json results = Json::array();
  for (const std::size_t i : found) {
    const Product& product = world_.products[world_.variants[i].product];
    results.push_back(Json{{"item", product.name},
                           {"sku", world_.variants[i].sku},
                           {"option", world_.variants[i].Option()},
                           {"price", FormatMoney(product.price_cents)}});
  }
  return Json{{"results", results}};
}

}  // namespace metier::retail

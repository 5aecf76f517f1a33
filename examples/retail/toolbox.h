// retail/toolbox.h - executes the shop's tools for one conversation.
//
// Reads the world and keeps what the conversation changes in an overlay, so that many conversations
// can start from the same shop. Every rule of the policy that a system can enforce is enforced here
// as well: a call that breaks one is answered by {"error": ...} and changes nothing.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "retail/schema.h"
#include "retail/world.h"

namespace metier::retail {

// Something that was done, for the record and for tests.
struct Effect {
  std::string tool;
  Json arguments;
};

class ToolBox {
 public:
  static constexpr std::size_t kListedOrders = 3;  // of list_orders, the newest

  // Borrows the world and the tools. With a view, products of other splits do not exist for this
  // conversation (a search must not show a training dialogue what the test holds).
  ToolBox(const World& world, const ToolSet& tools, std::optional<Split> view = std::nullopt)
      : world_(world), tools_(tools), view_(view) {}

  // Runs one call. The result is always an object; errors are {"error": text}, among them an
  // unknown tool and arguments that its schema refuses.
  Json Call(std::string_view tool, const Json& arguments);

  // The customer whom find_customer or find_customer_by_order has verified.
  std::optional<std::size_t> verified() const { return verified_; }

  // An order as it is now, with the changes of this conversation.
  const Order& OrderNow(std::size_t order) const;

  const std::vector<Effect>& effects() const { return effects_; }

 private:
  struct Place {
    std::size_t order = 0;
    std::size_t line = 0;
  };

  static Json Fail(std::string_view what) { return Json{{"error", std::string(what)}}; }
  // An argument that the schema has found to be there and text.
  static std::string Text(const Json& arguments, const char* name) {
    return arguments.at(name).get<std::string>();
  }

  Json FindCustomer(const Json& arguments);
  Json FindCustomerByOrder(const Json& arguments);
  Json ListOrders(const Json& arguments);
  Json GetOrder(const Json& arguments);
  Json TrackShipment(const Json& arguments);
  Json GetProduct(const Json& arguments);
  Json SearchProducts(const Json& arguments);
  Json CancelOrder(const Json& arguments);
  Json ChangeAddress(const Json& arguments);
  Json StartReturn(const Json& arguments);
  Json ExchangeItem(const Json& arguments);
  Json RefundItem(const Json& arguments);
  Json CreateVoucher(const Json& arguments);
  Json Escalate(const Json& arguments);

  Json Verified(std::size_t customer);
  std::optional<std::size_t> OwnOrder(const Json& arguments) const;
  std::optional<Place> OwnLine(const Json& arguments) const;
  std::optional<std::size_t> Visible(const std::string& sku) const;
  int StockNow(std::size_t variant) const;
  Order& Change(std::size_t order);

  const World& world_;
  const ToolSet& tools_;
  std::optional<Split> view_;
  std::optional<std::size_t> verified_;
  std::map<std::size_t, Order> changed_;
  std::map<std::size_t, int> taken_;  // stock promised in this conversation, by variant
  std::vector<Effect> effects_;
};

}  // namespace metier::retail

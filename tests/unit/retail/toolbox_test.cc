// The tools: arguments are checked, the policy is enforced, results agree with the data.
#include "retail/toolbox.h"

#include <gtest/gtest.h>

#include "retail/catalogue.h"
#include "retail/embedded.h"
#include "retail/generate.h"
#include "retail/policy.h"
#include "support/fixtures.h"

namespace metier::retail {
namespace {

const World& Shop() {
  static const World world = MakeWorld({}).value();
  return world;
}

class Tools : public ::testing::Test {
 protected:
  // The first order that fits, with its customer verified.
  template <class Predicate>
  const Order& Verified(Predicate fits) {
    for (const Order& order : Shop().orders) {
      if (!fits(order)) continue;
      const Customer& customer = Shop().customers[order.customer];
      const Json found =
          box_.Call("find_customer", {{"email", customer.email}, {"postcode", customer.postcode}});
      EXPECT_EQ(found["customer_id"], customer.id);
      return order;
    }
    ADD_FAILURE() << "no such order";
    return Shop().orders.front();
  }
  static auto WithStatus(OrderStatus status) {
    return [status](const Order& order) { return order.status == status; };
  }
  std::string SkuOf(const Order& order) const {
    return Shop().variants[order.lines.front().variant].sku;
  }

  ToolBox box_{Shop(), ToolSet::Ours()};
};

TEST_F(Tools, UnknownToolAndBadArgumentsAreErrorsWithTheRemedy) {
  EXPECT_THAT(box_.Call("get_orders", Json::object())["error"].get<std::string>(),
              ::testing::HasSubstr("did you mean 'get_order'"));
  EXPECT_THAT(box_.Call("get_order", Json::object())["error"].get<std::string>(),
              ::testing::HasSubstr("'order_id' to be given"));
  EXPECT_THAT(box_.Call("get_order", {{"order_id", "48213"}})["error"].get<std::string>(),
              ::testing::HasSubstr("matches"));
  EXPECT_THAT(
      box_.Call("get_order", {{"order_id", "W48213"}, {"x", 1}})["error"].get<std::string>(),
      ::testing::HasSubstr("no argument of that name"));
  EXPECT_THAT(box_.Call("escalate_to_human", {{"topic", "boredom"}})["error"].get<std::string>(),
              ::testing::HasSubstr("one of"));
  EXPECT_THAT(box_.Call("get_order", Json::array())["error"].get<std::string>(),
              ::testing::HasSubstr("type object"));
}

TEST_F(Tools, NothingAboutAnOrderBeforeVerification) {
  const Order& order = Shop().orders.front();
  for (const char* tool : {"get_order", "track_shipment"}) {
    EXPECT_EQ(box_.Call(tool, {{"order_id", order.id}})["error"], "order not found");
  }
  const std::string id = Shop().customers[order.customer].id;
  EXPECT_TRUE(box_.Call("list_orders", {{"customer_id", id}}).contains("error"));
  EXPECT_TRUE(
      box_.Call("create_voucher", {{"customer_id", id}, {"amount", 10}, {"reason", "loyalty"}})
          .contains("error"));
}

TEST_F(Tools, WrongPostcodeVerifiesNobody) {
  const Customer& customer = Shop().customers.front();
  EXPECT_EQ(box_.Call("find_customer", {{"email", customer.email}, {"postcode", "00000"}})["error"],
            "no match");
  EXPECT_FALSE(box_.verified());
}

TEST_F(Tools, OtherPeoplesOrdersDoNotExist) {
  const Order& mine = Verified(WithStatus(OrderStatus::kPaid));
  for (const Order& other : Shop().orders) {
    if (other.customer == mine.customer) continue;
    EXPECT_EQ(box_.Call("get_order", {{"order_id", other.id}})["error"], "order not found");
    break;
  }
}

TEST_F(Tools, CancelsWhatIsPaidAndRefundsAllOfIt) {
  const Order& order = Verified(WithStatus(OrderStatus::kPaid));
  const Json arguments = {{"order_id", order.id}, {"reason", "changed_mind"}};
  EXPECT_EQ(box_.Call("cancel_order", arguments)["refund"], FormatMoney(order.TotalCents()));
  EXPECT_EQ(box_.Call("get_order", {{"order_id", order.id}})["status"], "cancelled");
  EXPECT_EQ(box_.Call("cancel_order", arguments)["error"], "order cannot be cancelled");
  EXPECT_EQ(box_.effects().size(), 1u);
  EXPECT_EQ(Shop().orders[*Shop().FindOrder(order.id)].status, OrderStatus::kPaid)
      << "the world itself must stay as it is";
}

TEST_F(Tools, RefusesToCancelWhatIsPackedOrLater) {
  for (const OrderStatus status : {OrderStatus::kPacked, OrderStatus::kShipped,
                                   OrderStatus::kDelivered, OrderStatus::kReturned}) {
    const Order& order = Verified(WithStatus(status));
    EXPECT_EQ(box_.Call("cancel_order", {{"order_id", order.id}, {"reason", "too_slow"}})["error"],
              "order cannot be cancelled")
        << Name(status);
    EXPECT_TRUE(box_.Call("change_address", {{"order_id", order.id},
                                             {"street", "1 Mill Lane"},
                                             {"city", "Foxley"},
                                             {"postcode", "12345"}})
                    .contains("error"));
  }
  EXPECT_TRUE(box_.effects().empty());
}

TEST_F(Tools, ReturnsFollowTheWindow) {
  const auto with = [](ReturnState state) {
    return [state](const Order& order) {
      return ReturnStateOf(Shop(), order, order.lines.front()) == state;
    };
  };
  for (const ReturnState state : {ReturnState::kClosed, ReturnState::kFinalSale,
                                  ReturnState::kNotDelivered, ReturnState::kDone}) {
    const Order& order = Verified(with(state));
    EXPECT_TRUE(
        box_.Call("start_return",
                  {{"order_id", order.id}, {"sku", SkuOf(order)}, {"reason", "changed_mind"}})
            .contains("error"))
        << Name(state);
  }
  const Order& order = Verified(with(ReturnState::kOpen));
  const Json arguments = {
      {"order_id", order.id}, {"sku", SkuOf(order)}, {"reason", "changed_mind"}};
  EXPECT_EQ(box_.Call("start_return", arguments)["refund"],
            FormatMoney(order.lines.front().price_cents));
  EXPECT_TRUE(box_.Call("start_return", arguments).contains("error")) << "twice";
}

TEST_F(Tools, PriceDropIsRefundedOnce) {
  const Order& order = Verified([](const Order& candidate) {
    return PriceDropOpen(Shop(), candidate, candidate.lines.front());
  });
  const Json arguments = {{"order_id", order.id}, {"sku", SkuOf(order)}, {"reason", "price_drop"}};
  const Product& product = Shop().ProductOf(order.lines.front());
  EXPECT_EQ(box_.Call("refund_item", arguments)["refund"],
            FormatMoney(product.list_price_cents - product.price_cents));
  EXPECT_TRUE(box_.Call("refund_item", arguments).contains("error"));
}

TEST_F(Tools, VouchersHaveTheAmountOfTheTierAndComeOnce) {
  const Order& order = Verified([](const Order& candidate) {
    return Shop().customers[candidate.customer].tier == Tier::kGold;
  });
  const std::string id = Shop().customers[order.customer].id;
  const auto give = [&](int amount) {
    return box_.Call("create_voucher",
                     {{"customer_id", id}, {"amount", amount}, {"reason", "loyalty"}});
  };
  EXPECT_TRUE(give(10).contains("error"));
  EXPECT_EQ(give(20)["status"], "ok");
  EXPECT_TRUE(give(20).contains("error"));
}

TEST_F(Tools, ExchangesWithinTheProductOnly) {
  const Order& order = Verified([](const Order& candidate) {
    return ReturnStateOf(Shop(), candidate, candidate.lines.front()) == ReturnState::kOpen;
  });
  const std::size_t product = Shop().variants[order.lines.front().variant].product;
  for (const Variant& variant : Shop().variants) {
    if (variant.product == product || variant.stock == 0) continue;
    EXPECT_EQ(box_.Call("exchange_item", {{"order_id", order.id},
                                          {"sku", SkuOf(order)},
                                          {"new_sku", variant.sku}})["error"],
              "not an option of the same product");
    break;
  }
}

TEST(ToolsOfASplit, SearchShowsNothingOfOtherSplits) {
  for (const Split split : {Split::kTrain, Split::kTest}) {
    ToolBox box(Shop(), ToolSet::Ours(), split);
    int found = 0;
    for (const Kind& kind : Kinds()) {
      const Json answer = box.Call("search_products", {{"kind", kind.name}});
      for (const Json& result : answer["results"]) {
        const auto variant = Shop().FindVariant(result["sku"].get<std::string>());
        ASSERT_TRUE(variant);
        EXPECT_EQ(Shop().products[Shop().variants[*variant].product].split, split);
        EXPECT_GT(Shop().variants[*variant].stock, 0);
        ++found;
      }
    }
    EXPECT_GT(found, 10);
  }
}

TEST(ToolSet, EnumsAreThoseOfTheCatalogue) {
  Json kinds = Json::array();
  for (const Kind& kind : Kinds()) kinds.push_back(kind.name);
  for (const Json& tool : ToolSet::Ours().json()) {
    if (tool["function"]["name"] != "search_products") continue;
    const Json& properties = tool["function"]["parameters"]["properties"];
    EXPECT_EQ(properties["kind"]["enum"], kinds);
    EXPECT_EQ(properties["colour"]["enum"], Json(AllColours()));
  }
}

TEST(ToolSet, RefusesSchemasThatItCannotCheck) {
  const std::string good(EmbeddedText("tools.json"));
  std::string odd = good;
  odd.replace(odd.find("\"pattern\""), 9, "\"formats\"");
  EXPECT_ERROR(ToolSet::Parse(odd), ErrorCode::kUnsupported, "formats");
  EXPECT_ERROR(ToolSet::Parse("{}"), ErrorCode::kDataCorrupt, "array");
  EXPECT_ERROR(ToolSet::Parse(good.substr(0, 900)), ErrorCode::kDataCorrupt, "");
}

}  // namespace
}  // namespace metier::retail

// The retail tools on a small shop: what each changes, and what each refuses.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tiny_worlds.h"
#include "worlds/episode.h"

namespace metier::worlds {
namespace {

class Retail : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
    episode_.emplace(world);
  }

  std::string Call(const char* name, const Json& arguments) {
    return episode_->Call(name, arguments);
  }
  Json CallJson(const char* name, const Json& arguments) { return Parsed(Call(name, arguments)); }
  Json GiftBalance() {
    return (*episode_->records().Find("users", "ada"))["payment_methods"]["gift_1"]["balance"];
  }

  std::optional<Episode> episode_;
};

TEST_F(Retail, FindsAndShows) {
  EXPECT_EQ(Call("find_user_id_by_email", {{"email", "Ada@engine.example"}}), "ada");
  EXPECT_EQ(Call("find_user_id_by_email", {{"email", "ada"}}), "Error: user not found");
  const auto by_name = [&](const char* first, const char* zip) {
    return Call("find_user_id_by_name_zip",
                {{"first_name", first}, {"last_name", "byron"}, {"zip", zip}});
  };
  EXPECT_EQ(by_name("BOB", "10001"), "bob");
  EXPECT_EQ(by_name("Bob", "10002"), "Error: user not found");
  EXPECT_EQ(CallJson("get_user_details", {{"user_id", "ada"}})["email"], "ada@engine.example");
  EXPECT_EQ(Call("get_user_details", {{"user_id", "#P1"}}), "Error: user not found");
  EXPECT_EQ(CallJson("get_order_details", {{"order_id", "#P1"}})["status"], "pending");
  EXPECT_EQ(Call("get_order_details", {{"order_id", "P1"}}), "Error: order not found");
  EXPECT_EQ(CallJson("get_product_details", {{"product_id", "P-ink"}})["name"], "Ink");
  EXPECT_EQ(Call("get_product_details", {{"product_id", "i-red"}}), "Error: product not found");
  EXPECT_EQ(Call("list_all_product_types", Json::object()),
            R"({"Card paper": "P-paper", "Ink": "P-ink"})");
}

TEST_F(Retail, CancelsWhatIsPendingAndPaysBack) {
  const Json arguments = {{"order_id", "#P2"}, {"reason", "no longer needed"}};
  const Json order = CallJson("cancel_pending_order", arguments);
  EXPECT_EQ(order["status"], "cancelled");
  EXPECT_EQ(order["cancel_reason"], "no longer needed");
  EXPECT_EQ(DumpCompact(order["payment_history"][1]),
            R"({"transaction_type":"refund","amount":9.99,"payment_method_id":"gift_1"})");
  EXPECT_EQ(GiftBalance(), 12.99);
  EXPECT_EQ(Call("cancel_pending_order", arguments),
            "Error: non-pending order cannot be cancelled");
  EXPECT_EQ(GiftBalance(), 12.99);
  EXPECT_EQ(Call("cancel_pending_order", {{"order_id", "#P1"}, {"reason", "too dear"}}),
            "Error: argument 'reason' is 'too dear', expected one of no longer needed|ordered by "
            "mistake");
  EXPECT_EQ(Call("cancel_pending_order", {{"order_id", "#P9"}, {"reason", "ordered by mistake"}}),
            "Error: order not found");
}

TEST_F(Retail, ChangesAddresses) {
  Json address = {{"zip", "20002"}, {"address1", "3 Mill Lane"},
                  {"address2", ""}, {"city", "Nottingham"},
                  {"state", "NT"},  {"country", "UK"}};
  Json of_order = address;
  of_order["order_id"] = "#P1";
  const Json order = CallJson("modify_pending_order_address", of_order);
  EXPECT_EQ(order["address"].size(), 6);
  EXPECT_EQ(order["address"]["zip"], "20002");
  EXPECT_EQ(order["status"], "pending");
  of_order["order_id"] = "#D1";
  EXPECT_EQ(Call("modify_pending_order_address", of_order),
            "Error: non-pending order cannot be modified");
  Json of_user = address;
  of_user["user_id"] = "bob";
  EXPECT_EQ(CallJson("modify_user_address", of_user)["address"]["city"], "Nottingham");
  of_user["user_id"] = "eve";
  EXPECT_EQ(Call("modify_user_address", of_user), "Error: user not found");
}

TEST_F(Retail, ChangesThePaymentOfAnOrder) {
  const auto pay = [&](const char* order, const char* method) {
    return Call("modify_pending_order_payment",
                {{"order_id", order}, {"payment_method_id", method}});
  };
  EXPECT_EQ(pay("#P1", "gift_1"), "Error: insufficient gift card balance to pay for the order");
  EXPECT_EQ(pay("#P1", "gift_2"), "Error: payment method not found");
  EXPECT_EQ(pay("#P1", "card_1"),
            "Error: the new payment method should be different from the current one");
  EXPECT_EQ(pay("#D1", "pal_1"), "Error: non-pending order cannot be modified");
  const Json history = Parsed(pay("#P2", "card_1"))["payment_history"];
  ASSERT_EQ(history.size(), 3);
  EXPECT_EQ(history[1]["payment_method_id"], "card_1");
  EXPECT_EQ(history[2]["transaction_type"], "refund");
  EXPECT_EQ(GiftBalance(), 12.99);
  EXPECT_EQ(pay("#P2", "pal_1"), "Error: there should be exactly one payment for a pending order");

  // What came back buys again.
  const Json cheaper = {{"order_id", "#P1"},
                        {"item_ids", {"p-a4"}},
                        {"new_item_ids", {"p-a5"}},
                        {"payment_method_id", "gift_1"}};
  EXPECT_EQ(CallJson("modify_pending_order_items", cheaper)["status"], "pending (item modified)");
  EXPECT_EQ(GiftBalance(), 15.88);
}

TEST_F(Retail, ChangesItemsOfWhatIsPending) {
  const auto modify = [&](const Json& from, const Json& to, const char* method = "pal_1") {
    return Call("modify_pending_order_items", {{"order_id", "#P1"},
                                               {"item_ids", from},
                                               {"new_item_ids", to},
                                               {"payment_method_id", method}});
  };
  EXPECT_EQ(modify({"i-blue"}, {"i-black"}), "Error: i-blue not found");
  EXPECT_EQ(modify({"i-black", "i-black"}, {"i-blue", "i-blue"}), "Error: i-black not found");
  EXPECT_EQ(modify({"i-black"}, Json::array()),
            "Error: the number of items to be exchanged should match");
  EXPECT_EQ(modify({"i-black"}, {"i-red"}), "Error: new item i-red not found or available");
  EXPECT_EQ(modify({"i-black"}, {"p-a5"}), "Error: new item p-a5 not found or available");
  EXPECT_EQ(modify({"i-black"}, {"i-blue"}, "gift_9"), "Error: payment method not found");
  EXPECT_EQ(episode_->records(), Records(episode_->world().database()));

  const Json order = Parsed(modify({"p-a4", "i-black"}, {"p-a5", "i-blue"}));
  EXPECT_EQ(order["status"], "pending (item modified)");
  EXPECT_EQ(DumpCompact(order["items"][0]),
            R"({"name":"Ink","product_id":"P-ink","item_id":"i-blue","price":6.25,)"
            R"("options":{"colour":"blue"}})");
  EXPECT_EQ(order["items"][1]["item_id"], "p-a5");
  EXPECT_EQ(order["payment_history"][1]["transaction_type"], "refund");
  EXPECT_EQ(order["payment_history"][1]["amount"], 9.99 - 7.1 - 1.75);
  EXPECT_EQ(modify({"p-a5"}, {"p-a4"}), "Error: non-pending order cannot be modified");
}

TEST_F(Retail, AGiftCardHasToCoverTheDifference) {
  const auto exchange = [&](const Json& to) {
    return Call("exchange_delivered_order_items", {{"order_id", "#D1"},
                                                   {"item_ids", {"i-black", "i-black"}},
                                                   {"new_item_ids", to},
                                                   {"payment_method_id", "gift_1"}});
  };
  EXPECT_EQ(exchange({"i-blue", "i-blue"}),
            "Error: insufficient gift card balance to pay for the price difference");
  EXPECT_EQ(exchange({"i-blue", "i-blue", "i-blue"}),
            "Error: the number of items to be exchanged should match");
  const Json order = Parsed(exchange({"i-blue", "i-black"}));
  EXPECT_EQ(order["status"], "exchange requested");
  EXPECT_EQ(DumpCompact(order["exchange_new_items"]), R"(["i-black","i-blue"])");
  EXPECT_EQ(order["exchange_price_difference"], 1.75);
  EXPECT_EQ(order["items"][0]["item_id"], "i-black");
  EXPECT_EQ(GiftBalance(), 3);  // paid when the items change hands
}

TEST_F(Retail, TakesBackWhatWasDelivered) {
  const auto take_back = [&](const char* order, const Json& items, const char* method) {
    return Call("return_delivered_order_items",
                {{"order_id", order}, {"item_ids", items}, {"payment_method_id", method}});
  };
  EXPECT_EQ(take_back("#P1", {"i-black"}, "card_1"),
            "Error: non-delivered order cannot be returned");
  EXPECT_EQ(take_back("#D1", {"i-black"}, "pal_1"),
            "Error: payment method should be either the original payment method or a gift card");
  EXPECT_EQ(take_back("#D1", {"i-black"}, "card_9"), "Error: payment method not found");
  EXPECT_EQ(take_back("#D1", {"i-black", "i-black", "i-black"}, "card_1"),
            "Error: i-black not found");
  const Json order = Parsed(take_back("#D1", {"i-black"}, "gift_1"));
  EXPECT_EQ(order["status"], "return requested");
  EXPECT_EQ(DumpCompact(order["return_items"]), R"(["i-black"])");
  EXPECT_EQ(order["return_payment_method_id"], "gift_1");
  EXPECT_EQ(take_back("#D1", {"i-black"}, "gift_1"),
            "Error: non-delivered order cannot be returned");
}

}  // namespace
}  // namespace metier::worlds

// Two small worlds, written here: a stationer's and a line with four flights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "support/fixtures.h"
#include "worlds/world.h"

namespace metier::worlds {

inline Json Parsed(const std::string& text) {
  Result<Json> json = ParseJson(text);
  EXPECT_OK(json);
  return json.ok() ? *json : Json();
}

// tools.json for these tools with these names of arguments.
inline Json Declarations(
    const std::vector<std::pair<std::string, std::vector<std::string>>>& tools) {
  Json declared = Json::array();
  for (const auto& [name, arguments] : tools) {
    Json properties = Json::object();
    for (const std::string& argument : arguments) properties[argument] = Json::object();
    declared.push_back(
        {{"type", "function"},
         {"function",
          {{"name", name}, {"parameters", {{"type", "object"}, {"properties", properties}}}}}});
  }
  return declared;
}

inline Json RetailDeclarations() {
  const std::vector<std::string> address = {"address1", "address2", "city",
                                            "state",    "country",  "zip"};
  std::vector<std::string> of_order = address;
  std::vector<std::string> of_user = address;
  of_order.insert(of_order.begin(), "order_id");
  of_user.insert(of_user.begin(), "user_id");
  return Declarations({
      {"calculate", {"expression"}},
      {"cancel_pending_order", {"order_id", "reason"}},
      {"exchange_delivered_order_items",
       {"order_id", "item_ids", "new_item_ids", "payment_method_id"}},
      {"find_user_id_by_email", {"email"}},
      {"find_user_id_by_name_zip", {"first_name", "last_name", "zip"}},
      {"get_order_details", {"order_id"}},
      {"get_product_details", {"product_id"}},
      {"get_user_details", {"user_id"}},
      {"list_all_product_types", {}},
      {"modify_pending_order_address", of_order},
      {"modify_pending_order_items", {"order_id", "item_ids", "new_item_ids", "payment_method_id"}},
      {"modify_pending_order_payment", {"order_id", "payment_method_id"}},
      {"modify_user_address", of_user},
      {"return_delivered_order_items", {"order_id", "item_ids", "payment_method_id"}},
      {"think", {"thought"}},
      {"transfer_to_human_agents", {"summary"}},
  });
}

inline Json AirlineDeclarations() {
  return Declarations({
      {"book_reservation",
       {"user_id", "origin", "destination", "flight_type", "cabin", "flights", "passengers",
        "payment_methods", "total_baggages", "nonfree_baggages", "insurance"}},
      {"calculate", {"expression"}},
      {"cancel_reservation", {"reservation_id"}},
      {"get_reservation_details", {"reservation_id"}},
      {"get_user_details", {"user_id"}},
      {"list_all_airports", {}},
      {"search_direct_flight", {"origin", "destination", "date"}},
      {"search_onestop_flight", {"origin", "destination", "date"}},
      {"send_certificate", {"user_id", "amount"}},
      {"think", {"thought"}},
      {"transfer_to_human_agents", {"summary"}},
      {"update_reservation_baggages",
       {"reservation_id", "total_baggages", "nonfree_baggages", "payment_id"}},
      {"update_reservation_flights", {"reservation_id", "cabin", "flights", "payment_id"}},
      {"update_reservation_passengers", {"reservation_id", "passengers"}},
  });
}

// Ink in three colours (red is sold out) and paper in two sizes. Ada has a card and a gift card;
// #P1 is pending, #P2 pending and paid by gift card, #D1 delivered with black ink twice.
inline void WriteRetail(const std::string& folder) {
  EXPECT_OK(MakeDirectories(folder + "/data"));
  test::WriteAll(folder + "/tools.json", DumpPretty(RetailDeclarations()));
  test::WriteAll(folder + "/policy_wiki.md", "Ask before you change anything.\n");
  test::WriteAll(folder + "/rules.json", R"(["One call at a time."])");
  test::WriteAll(folder + "/data/products.json", R"({
    "P-ink": {"name": "Ink", "product_id": "P-ink", "variants": {
      "i-black": {"item_id": "i-black", "options": {"colour": "black"}, "available": true,
                  "price": 4.5},
      "i-blue": {"item_id": "i-blue", "options": {"colour": "blue"}, "available": true,
                 "price": 6.25},
      "i-red": {"item_id": "i-red", "options": {"colour": "red"}, "available": false,
                "price": 5.0}}},
    "P-paper": {"name": "Card paper", "product_id": "P-paper", "variants": {
      "p-a4": {"item_id": "p-a4", "options": {"size": "A4"}, "available": true, "price": 9.99},
      "p-a5": {"item_id": "p-a5", "options": {"size": "A5"}, "available": true, "price": 7.1}}}})");
  test::WriteAll(folder + "/data/users.json", R"({
    "ada": {"name": {"first_name": "Ada", "last_name": "Byron"}, "email": "ada@engine.example",
            "address": {"address1": "1 Mill Lane", "zip": "10001"},
            "payment_methods": {"card_1": {"source": "credit_card", "id": "card_1"},
                                "pal_1": {"source": "paypal", "id": "pal_1"},
                                "gift_1": {"source": "gift_card", "balance": 3, "id": "gift_1"}},
            "orders": ["#P1", "#P2", "#D1"]},
    "bob": {"name": {"first_name": "Bob", "last_name": "Byron"}, "email": "bob@engine.example",
            "address": {"address1": "2 Mill Lane", "zip": "10001"},
            "payment_methods": {}, "orders": []}})");
  test::WriteAll(folder + "/data/orders.json", R"({
    "#P1": {"order_id": "#P1", "user_id": "ada", "address": {"zip": "10001"}, "status": "pending",
            "items": [{"name": "Ink", "product_id": "P-ink", "item_id": "i-black", "price": 4.5,
                       "options": {"colour": "black"}},
                      {"name": "Card paper", "product_id": "P-paper", "item_id": "p-a4",
                       "price": 9.99, "options": {"size": "A4"}}],
            "payment_history": [{"transaction_type": "payment", "amount": 14.49,
                                 "payment_method_id": "card_1"}]},
    "#P2": {"order_id": "#P2", "user_id": "ada", "address": {"zip": "10001"}, "status": "pending",
            "items": [{"name": "Card paper", "product_id": "P-paper", "item_id": "p-a4",
                       "price": 9.99, "options": {"size": "A4"}}],
            "payment_history": [{"transaction_type": "payment", "amount": 9.99,
                                 "payment_method_id": "gift_1"}]},
    "#D1": {"order_id": "#D1", "user_id": "ada", "address": {"zip": "10001"},
            "status": "delivered",
            "items": [{"name": "Ink", "product_id": "P-ink", "item_id": "i-black", "price": 4.5,
                       "options": {"colour": "black"}},
                      {"name": "Ink", "product_id": "P-ink", "item_id": "i-black", "price": 4.5,
                       "options": {"colour": "black"}}],
            "payment_history": [{"transaction_type": "payment", "amount": 9.0,
                                 "payment_method_id": "card_1"}]}})");
}

// F1 AAA-BBB morning, F2 BBB-CCC noon, F3 AAA-BBB lands after midnight, F4 BBB-CCC has left when F1
// lands. Eve has a reservation of two on F1 in economy.
inline void WriteAirline(const std::string& folder) {
  EXPECT_OK(MakeDirectories(folder + "/data"));
  test::WriteAll(folder + "/tools.json", DumpPretty(AirlineDeclarations()));
  test::WriteAll(folder + "/policy_wiki.md", "No flight is cancelled twice.\n");
  const auto day = [](int seats, int price) {
    return Json{
        {"status", "available"},
        {"available_seats", {{"basic_economy", seats}, {"economy", seats}, {"business", seats}}},
        {"prices", {{"basic_economy", price}, {"economy", price + 10}, {"business", price + 100}}}};
  };
  const auto flight = [](const char* number, const char* from, const char* to, const char* leaves,
                         const char* lands, const Json& dates) {
    return Json{{"flight_number", number},
                {"origin", from},
                {"destination", to},
                {"scheduled_departure_time_est", leaves},
                {"scheduled_arrival_time_est", lands},
                {"dates", dates}};
  };
  const Json may = {{"2024-05-14", {{"status", "landed"}}},
                    {"2024-05-31", day(3, 50)},
                    {"2024-06-01", day(1, 70)}};
  test::WriteAll(folder + "/data/flights.json",
                 DumpPretty({{"F1", flight("F1", "AAA", "BBB", "06:00:00", "08:00:00", may)},
                             {"F2", flight("F2", "BBB", "CCC", "12:00:00", "14:00:00", may)},
                             {"F3", flight("F3", "AAA", "BBB", "23:00:00", "01:00:00+1", may)},
                             {"F4", flight("F4", "BBB", "CCC", "07:00:00", "09:00:00", may)}}));
  test::WriteAll(folder + "/data/users.json", R"({
    "eve": {"name": {"first_name": "Eve", "last_name": "Moss"},
            "payment_methods": {"card_1": {"source": "credit_card", "id": "card_1"},
                                "gift_1": {"source": "gift_card", "amount": 100, "id": "gift_1"},
                                "cert_1": {"source": "certificate", "amount": 80, "id": "cert_1"}},
            "reservations": ["R1"]}})");
  test::WriteAll(folder + "/data/reservations.json", R"({
    "R1": {"reservation_id": "R1", "user_id": "eve", "origin": "AAA", "destination": "BBB",
           "flight_type": "one_way", "cabin": "economy",
           "flights": [{"origin": "AAA", "destination": "BBB", "flight_number": "F1",
                        "date": "2024-05-31", "price": 40}],
           "passengers": [{"first_name": "Eve", "last_name": "Moss", "dob": "1990-01-01"},
                          {"first_name": "Ann", "last_name": "Moss", "dob": "1991-01-01"}],
           "payment_history": [{"payment_id": "gift_1", "amount": 80}],
           "created_at": "2024-05-01T00:00:00", "total_baggages": 1, "nonfree_baggages": 0,
           "insurance": "no"}})");
}

inline Result<World> TinyRetail() {
  const test::TempFolder folder;
  WriteRetail(folder.path());
  return World::Load(Domain::kRetail, folder.path());
}

inline Result<World> TinyAirline() {
  const test::TempFolder folder;
  WriteAirline(folder.path());
  return World::Load(Domain::kAirline, folder.path());
}

}  // namespace metier::worlds

// The airline tools on four flights: what each changes, and what each refuses.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tiny_worlds.h"
#include "worlds/episode.h"

namespace metier::worlds {
namespace {

class Airline : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(const World world, TinyAirline());
    episode_.emplace(world);
  }

  std::string Call(const char* name, const Json& arguments) {
    return episode_->Call(name, arguments);
  }
  Json CallJson(const char* name, const Json& arguments) { return Parsed(Call(name, arguments)); }
  Json Methods() { return (*episode_->records().Find("users", "eve"))["payment_methods"]; }

  static Json Flight(const char* number, const char* date) {
    return {{"flight_number", number}, {"date", date}};
  }
  // Eve alone on F1 in economy for 60.
  static Json Booking() {
    return {{"user_id", "eve"},
            {"origin", "AAA"},
            {"destination", "BBB"},
            {"flight_type", "one_way"},
            {"cabin", "economy"},
            {"flights", Json::array({Flight("F1", "2024-05-31")})},
            {"passengers",
             Json::array({{{"first_name", "Eve"}, {"last_name", "Moss"}, {"dob", "1990-01-01"}}})},
            {"payment_methods", Json::array({{{"payment_id", "gift_1"}, {"amount", 60}}})},
            {"total_baggages", 0},
            {"nonfree_baggages", 0},
            {"insurance", "no"}};
  }
  std::string Book(const char* name, const Json& value) {
    Json booking = Booking();
    booking[name] = value;
    return Call("book_reservation", booking);
  }

  std::optional<Episode> episode_;
};

TEST_F(Airline, FindsDirectFlights) {
  const Json found = CallJson("search_direct_flight",
                              {{"origin", "AAA"}, {"destination", "BBB"}, {"date", "2024-05-31"}});
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(DumpCompact(found[0]),
            R"({"flight_number":"F1","origin":"AAA","destination":"BBB",)"
            R"("scheduled_departure_time_est":"06:00:00",)"
            R"("scheduled_arrival_time_est":"08:00:00","status":"available",)"
            R"("available_seats":{"basic_economy":3,"economy":3,"business":3},)"
            R"("prices":{"basic_economy":50,"economy":60,"business":150}})");
  for (const char* date : {"2024-05-14", "2023-01-01", ""}) {  // has landed, is not flown, no date
    EXPECT_EQ(
        Call("search_direct_flight", {{"origin", "AAA"}, {"destination", "BBB"}, {"date", date}}),
        "[]");
  }
}

TEST_F(Airline, FindsConnectionsThatCanBeCaught) {
  const Json found = CallJson("search_onestop_flight",
                              {{"origin", "AAA"}, {"destination", "CCC"}, {"date", "2024-05-31"}});
  std::string connections;
  for (const Json& connection : found) {
    for (const Json& flight : connection)
      connections += flight["flight_number"].get<std::string>() + " " +
                     flight["date"].get<std::string>() + "; ";
  }
  // F4 leaves before F1 lands, and is caught on the day after by who comes with F3.
  EXPECT_EQ(connections,
            "F1 2024-05-31; F2 2024-05-31; F3 2024-05-31; F2 2024-06-01; "
            "F3 2024-05-31; F4 2024-06-01; ");
  EXPECT_EQ(found[2][1]["prices"]["economy"], 60);  // of the day asked for, as recorded
  EXPECT_EQ(Call("search_onestop_flight",
                 {{"origin", "AAA"}, {"destination", "CCC"}, {"date", "tomorrow"}}),
            "[]");
}

TEST_F(Airline, ShowsReservationsUsersAirports) {
  EXPECT_EQ(CallJson("get_reservation_details", {{"reservation_id", "R1"}})["user_id"], "eve");
  EXPECT_EQ(Call("get_reservation_details", {{"reservation_id", "R2"}}),
            "Error: reservation not found");
  EXPECT_EQ(CallJson("get_user_details", {{"user_id", "eve"}})["reservations"][0], "R1");
  EXPECT_EQ(Call("get_user_details", {{"user_id", "R1"}}), "Error: user not found");
  EXPECT_EQ(CallJson("list_all_airports", Json::object())["SEA"], "Seattle");
}

TEST_F(Airline, Books) {
  const std::string text = Call("book_reservation", Booking());
  EXPECT_EQ(text, R"({"reservation_id": "HATHAT", "user_id": "eve", "origin": "AAA", )"
                  R"("destination": "BBB", "flight_type": "one_way", "cabin": "economy", )"
                  R"("flights": [{"flight_number": "F1", "date": "2024-05-31", "price": 60, )"
                  R"("origin": "AAA", "destination": "BBB"}], )"
                  R"("passengers": [{"first_name": "Eve", "last_name": "Moss", )"
                  R"("dob": "1990-01-01"}], )"
                  R"("payment_history": [{"payment_id": "gift_1", "amount": 60}], )"
                  R"("created_at": "2024-05-15T15:00:00", "total_baggages": 0, )"
                  R"("nonfree_baggages": 0, "insurance": "no"})");
  EXPECT_EQ(Call("get_reservation_details", {{"reservation_id", "HATHAT"}}), text);
  EXPECT_EQ(Methods()["gift_1"]["amount"], 40);
  EXPECT_EQ((*episode_->records().Find("users", "eve"))["reservations"],
            Json::array({"R1", "HATHAT"}));
  EXPECT_EQ(Call("book_reservation", Booking()),
            "Error: not enough balance in payment method gift_1");
  const Json by_card = Json::array({{{"payment_id", "card_1"}, {"amount", 60}}});
  std::string ids;
  for (int i = 0; i < 8; ++i)
    ids += Parsed(Book("payment_methods", by_card))["reservation_id"].get<std::string>() + " ";
  EXPECT_EQ(ids, "HATHAU HATHAV HATHAW HATHAX HATHAY HATHAZ HATHBA HATHBB ");
}

TEST_F(Airline, CountsInsuranceBagsAndPassengers) {
  Json booking = Booking();
  booking["insurance"] = "yes";
  booking["nonfree_baggages"] = 2;
  booking["passengers"].push_back(booking["passengers"][0]);
  booking["payment_methods"] = Json::array({{{"payment_id", "cert_1"}, {"amount", 80}},
                                            {{"payment_id", "gift_1"}, {"amount", 100}},
                                            {{"payment_id", "card_1"}, {"amount", 99}}});
  EXPECT_EQ(Call("book_reservation", booking),
            "Error: payment amount does not add up, total price is 280, but paid 279");
  EXPECT_TRUE(Methods().contains("cert_1"));
  booking["payment_methods"][2]["amount"] = 100;
  EXPECT_EQ(CallJson("book_reservation", booking)["reservation_id"], "HATHAT");
  EXPECT_FALSE(Methods().contains("cert_1"));
  EXPECT_EQ(Methods()["gift_1"]["amount"], 0);
}

TEST_F(Airline, DoesNotBookWhatCannotBe) {
  EXPECT_EQ(Book("user_id", "ann"), "Error: user not found");
  EXPECT_EQ(Book("flights", Json::array({Flight("F9", "2024-05-31")})),
            "Error: flight F9 not found");
  EXPECT_EQ(Book("flights", Json::array({Flight("F1", "2024-07-01")})),
            "Error: flight F1 not found on date 2024-07-01");
  EXPECT_EQ(Book("flights", Json::array({Flight("F1", "2024-05-14")})),
            "Error: flight F1 not available on date 2024-05-14");
  Json booking = Booking();
  booking["flights"][0]["date"] = "2024-06-01";
  booking["passengers"].push_back(booking["passengers"][0]);
  EXPECT_EQ(Call("book_reservation", booking), "Error: not enough seats on flight F1");
  const auto pay = [&](const char* method, const Json& amount) {
    return Book("payment_methods", Json::array({{{"payment_id", method}, {"amount", amount}}}));
  };
  EXPECT_EQ(pay("gift_9", 60), "Error: payment method gift_9 not found");
  EXPECT_EQ(pay("cert_1", 81), "Error: not enough balance in payment method cert_1");
  EXPECT_EQ(pay("card_1", 59.5),
            "Error: payment amount does not add up, total price is 60, but paid 59.5");
  EXPECT_EQ(Book("payment_methods", Json::array({{{"payment_id", "cert_1"}, {"amount", 30}},
                                                 {{"payment_id", "cert_1"}, {"amount", 30}}})),
            "Error: payment method cert_1 not found");  // it was spent the first time
  EXPECT_EQ(episode_->records(), Records(episode_->world().database()));
}

TEST_F(Airline, CancelsAndPromisesTheMoney) {
  const Json cancelled = CallJson("cancel_reservation", {{"reservation_id", "R1"}});
  EXPECT_EQ(cancelled["status"], "cancelled");
  EXPECT_EQ(DumpCompact(cancelled["payment_history"][1]),
            R"({"payment_id":"gift_1","amount":-80})");
  EXPECT_EQ(Methods()["gift_1"]["amount"], 100);
  EXPECT_EQ(Call("cancel_reservation", {{"reservation_id", "R9"}}), "Error: reservation not found");
}

TEST_F(Airline, ChangesFlights) {
  const auto change = [&](const Json& flights, const char* cabin, const char* method) {
    return Call(
        "update_reservation_flights",
        {{"reservation_id", "R1"}, {"cabin", cabin}, {"flights", flights}, {"payment_id", method}});
  };
  const Json f1 = Json::array({Flight("F1", "2024-05-31")});
  EXPECT_EQ(change(f1, "business", "gift_1"), "Error: gift card balance is not enough");
  EXPECT_EQ(change(f1, "business", "cert_1"),
            "Error: certificate cannot be used to update reservation");
  EXPECT_EQ(change(f1, "business", "card_9"), "Error: payment method not found");
  EXPECT_EQ(change(Json::array({Flight("F1", "2024-06-01")}), "economy", "card_1"),
            "Error: not enough seats on flight F1");
  EXPECT_EQ(episode_->records(), Records(episode_->world().database()));

  // Kept as it is: at the price of then, and without a payment.
  const Json kept = Parsed(change(f1, "economy", "gift_1"));
  EXPECT_EQ(kept["flights"][0]["price"], 40);
  EXPECT_EQ(kept["payment_history"].size(), 1);
  // Another cabin: at the price of today, for both.
  const Json basic = Parsed(change(f1, "basic_economy", "gift_1"));
  EXPECT_EQ(basic["flights"][0]["price"], 50);
  EXPECT_EQ(basic["cabin"], "economy");  // as recorded
  EXPECT_EQ(DumpCompact(basic["payment_history"][1]), R"({"payment_id":"gift_1","amount":20})");
  EXPECT_EQ(Methods()["gift_1"]["amount"], 80);
  // What models repeat of a flight does not count.
  Json dear = Flight("F3", "2024-05-31");
  dear["price"] = 1;
  dear["origin"] = "ZZZ";
  const Json other = Parsed(change(Json::array({dear}), "basic_economy", "card_1"));
  EXPECT_EQ(other["flights"][0]["price"], 50);
  EXPECT_EQ(other["flights"][0]["origin"], "AAA");
  EXPECT_EQ(other["payment_history"].size(), 2);
}

TEST_F(Airline, ChangesBags) {
  const auto bags = [&](int total, int nonfree, const char* method) {
    return Call("update_reservation_baggages", {{"reservation_id", "R1"},
                                                {"total_baggages", total},
                                                {"nonfree_baggages", nonfree},
                                                {"payment_id", method}});
  };
  EXPECT_EQ(bags(4, 3, "gift_1"), "Error: gift card balance is not enough");
  EXPECT_EQ(bags(2, 1, "cert_1"), "Error: certificate cannot be used to update reservation");
  const Json two = Parsed(bags(3, 2, "gift_1"));
  EXPECT_EQ(two["total_baggages"], 3);
  EXPECT_EQ(DumpCompact(two["payment_history"][1]), R"({"payment_id":"gift_1","amount":100})");
  EXPECT_EQ(Methods()["gift_1"]["amount"], 0);
  const Json none = Parsed(bags(1, 0, "gift_1"));  // given up: not paid back
  EXPECT_EQ(none["nonfree_baggages"], 0);
  EXPECT_EQ(none["payment_history"].size(), 2);
}

TEST_F(Airline, ChangesPassengersButNotTheirNumber) {
  const Json one =
      Json::array({{{"first_name", "Ivy"}, {"last_name", "Moss"}, {"dob", "1992-01-01"}}});
  EXPECT_EQ(Call("update_reservation_passengers", {{"reservation_id", "R1"}, {"passengers", one}}),
            "Error: number of passengers does not match");
  Json two = one;
  two.push_back(one[0]);
  EXPECT_EQ(CallJson("update_reservation_passengers",
                     {{"reservation_id", "R1"}, {"passengers", two}})["passengers"],
            two);
}

TEST_F(Airline, SendsCertificatesWithNumbersOfTheirOwn) {
  EXPECT_EQ(Call("send_certificate", {{"user_id", "eve"}, {"amount", 50}}),
            "Certificate certificate_3221322 added to user eve with amount 50.");
  EXPECT_EQ(Call("send_certificate", {{"user_id", "eve"}, {"amount", 12.5}}),
            "Certificate certificate_3221323 added to user eve with amount 12.5.");
  EXPECT_EQ(DumpCompact(Methods()["certificate_3221322"]),
            R"({"source":"certificate","amount":50,"id":"certificate_3221322"})");
  EXPECT_EQ(Call("send_certificate", {{"user_id", "ann"}, {"amount", 50}}),
            "Error: user not found");
}

}  // namespace
}  // namespace metier::worlds

#include "worlds/airline/seats.h"

#include "worlds/tool.h"

namespace metier::worlds::airline {
namespace {

Amount FieldOr0(const Json& object, const std::string& name) {
  const auto field = object.find(name);
  return field == object.end() ? Amount() : Amount(*field);
}

Error FlightError(ErrorCode code, const Json& flight_and_date, const std::string& what) {
  return Error(code, "flight " + TextOf(flight_and_date, "flight_number") + " not " + what +
                         " date " + TextOf(flight_and_date, "date"));
}

}  // namespace

const Json* BookableDay(const Json& flight, const std::string& date) {
  const Json& days = flight.at("dates");
  const auto day = days.find(date);
  return day != days.end() && TextOf(*day, "status") == "available" ? &*day : nullptr;
}

Result<Json> LegOf(const Records& records, const Json& flight_and_date, const std::string& cabin,
                   std::size_t passengers) {
  const std::string& number = TextOf(flight_and_date, "flight_number");
  const std::string& date = TextOf(flight_and_date, "date");
  const Json* flight = records.Find("flights", number);
  if (flight == nullptr) return Error(ErrorCode::kNotFound, "flight " + number + " not found");
  if (!flight->at("dates").contains(date))
    return FlightError(ErrorCode::kNotFound, flight_and_date, "found on");
  const Json* day = BookableDay(*flight, date);
  if (day == nullptr)
    return FlightError(ErrorCode::kInvalidArgument, flight_and_date, "available on");
  const auto seats = day->find("available_seats");
  const auto prices = day->find("prices");
  if (seats == day->end() || prices == day->end() || !prices->contains(cabin) ||
      FieldOr0(*seats, cabin).value() < static_cast<double>(passengers)) {
    return Error(ErrorCode::kInvalidArgument, "not enough seats on flight " + number);
  }
  return Json{{"flight_number", number},
              {"date", date},
              {"price", prices->at(cabin)},
              {"origin", flight->at("origin")},
              {"destination", flight->at("destination")}};
}

Amount SeatPrice(const Json& legs) {
  Amount sum;
  for (const Json& leg : legs) sum = sum + Amount(leg.at("price"));
  return sum;
}

Amount MoneyLeft(const Json& method) { return FieldOr0(method, "amount"); }

void TakeFromGiftCard(Json& method, Amount amount) {
  if (TextOf(method, "source") == "gift_card")
    method["amount"] = (MoneyLeft(method) - amount).ToJson();
}

}  // namespace metier::worlds::airline

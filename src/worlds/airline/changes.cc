#include "worlds/airline/seats.h"
#include "worlds/airline/tools.h"
#include "worlds/tool.h"

namespace metier::worlds::airline {
namespace {

constexpr int kBaggagePriceNow = 50;  // a bag that is not free, as at booking

Result<const Json*> FindReservation(const Records& records, const Json& arguments) {
  const Json* reservation = records.Find("reservations", TextOf(arguments, "reservation_id"));
  if (reservation == nullptr) return Error(ErrorCode::kNotFound, "reservation not found");
  return reservation;
}

// Whether a change at this price can be paid with a method of the reservation's user. A price below
// 0 is a refund.
Status CheckPayable(const Records& records, const Json& reservation, const std::string& payment_id,
                    Amount price) {
  const Json* user = records.Find("users", TextOf(reservation, "user_id"));
  if (user == nullptr) return Error(ErrorCode::kNotFound, "user of the reservation not found");
  const Json& methods = user->at("payment_methods");
  const auto method = methods.find(payment_id);
  if (method == methods.end()) return Error(ErrorCode::kNotFound, "payment method not found");
  const std::string& source = TextOf(*method, "source");
  if (source == "certificate") {
    return Error(ErrorCode::kInvalidArgument, "certificate cannot be used to update reservation");
  }
  if (source == "gift_card" && MoneyLeft(*method) < price)
    return Error(ErrorCode::kInvalidArgument, "gift card balance is not enough");
  return Ok();
}

// Requires that CheckPayable said so.
void Pay(Records& records, Json& reservation, const std::string& payment_id, Amount price) {
  Json& user = *records.Change("users", TextOf(reservation, "user_id"));
  TakeFromGiftCard(user.at("payment_methods").at(payment_id), price);
  if (price == Amount()) return;
  reservation.at("payment_history")
      .push_back({{"payment_id", payment_id}, {"amount", price.ToJson()}});
}

// The leg that a reservation has of this flight on this date; nullptr: it has none.
const Json* KeptLeg(const Json& reservation, const Json& flight_and_date) {
  for (const Json& leg : reservation.at("flights")) {
    if (leg.at("flight_number") == flight_and_date.at("flight_number") &&
        leg.at("date") == flight_and_date.at("date")) {
      return &leg;
    }
  }
  return nullptr;
}

}  // namespace

// Refunds take days to arrive: gift cards keep their balance.
Result<std::string> CancelReservation(Records& records, const Json& arguments) {
  METIER_TRY(FindReservation(records, arguments));
  Json& reservation = *records.Change("reservations", TextOf(arguments, "reservation_id"));
  Json& history = reservation.at("payment_history");
  const Json payments = history;
  for (const Json& payment : payments) {
    const Amount refund = Amount() - Amount(payment.at("amount"));
    history.push_back({{"payment_id", payment.at("payment_id")}, {"amount", refund.ToJson()}});
  }
  reservation["status"] = "cancelled";
  return DumpPython(reservation);
}

Result<std::string> UpdateReservationBaggages(Records& records, const Json& arguments) {
  const std::string& payment_id = TextOf(arguments, "payment_id");
  METIER_ASSIGN(const Json* found, FindReservation(records, arguments));
  const Amount more =
      Amount(arguments.at("nonfree_baggages")) - Amount(found->at("nonfree_baggages"));
  const Amount price =
      Amount() < more ? Amount(Json(kBaggagePriceNow)) * more : Amount();  // none is paid back
  METIER_TRY(CheckPayable(records, *found, payment_id, price));

  Json& reservation = *records.Change("reservations", TextOf(arguments, "reservation_id"));
  for (const char* name : {"total_baggages", "nonfree_baggages"})
    reservation[name] = arguments.at(name);
  Pay(records, reservation, payment_id, price);
  return DumpPython(reservation);
}

Result<std::string> UpdateReservationFlights(Records& records, const Json& arguments) {
  const std::string& payment_id = TextOf(arguments, "payment_id");
  const std::string& cabin = TextOf(arguments, "cabin");
  METIER_ASSIGN(const Json* found, FindReservation(records, arguments));
  const std::size_t passengers = found->at("passengers").size();
  Json legs = Json::array();
  for (const Json& flight : arguments.at("flights")) {
    // A leg that is kept in its cabin keeps its price, and needs no seats.
    const Json* kept = TextOf(*found, "cabin") == cabin ? KeptLeg(*found, flight) : nullptr;
    if (kept != nullptr) {
      legs.push_back(*kept);
      continue;
    }
    METIER_ASSIGN(Json leg, LegOf(records, flight, cabin, passengers));
    legs.push_back(std::move(leg));
  }
  const Amount price =
      (SeatPrice(legs) - SeatPrice(found->at("flights"))) * Amount(Json(passengers));
  METIER_TRY(CheckPayable(records, *found, payment_id, price));

  Json& reservation = *records.Change("reservations", TextOf(arguments, "reservation_id"));
  // The reservation keeps the name of its old cabin: so the recorded tool has it (docs/worlds.md).
  reservation["flights"] = std::move(legs);
  Pay(records, reservation, payment_id, price);
  return DumpPython(reservation);
}

Result<std::string> UpdateReservationPassengers(Records& records, const Json& arguments) {
  METIER_ASSIGN(const Json* found, FindReservation(records, arguments));
  const Json& passengers = arguments.at("passengers");
  if (passengers.size() != found->at("passengers").size())
    return Error(ErrorCode::kInvalidArgument, "number of passengers does not match");
  Json& reservation = *records.Change("reservations", TextOf(arguments, "reservation_id"));
  reservation["passengers"] = passengers;
  return DumpPython(reservation);
}

}  // namespace metier::worlds::airline

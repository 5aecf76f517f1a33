// worlds/airline/seats.h - flights on a day, what a seat costs, and what it is paid with.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "worlds/amount.h"
#include "worlds/records.h"

namespace metier::worlds::airline {

// The day's entry of a flight that can be booked then; nullptr where there is none.
const Json* BookableDay(const Json& flight, const std::string& date);

// One leg of a reservation, by an argument that names its flight and date: {"flight_number",
// "date", "price", "origin", "destination"} with the price of one seat.
// kNotFound: no such flight, or not on that day.  kInvalidArgument: it cannot be booked on that
// day, or has fewer seats than `passengers` in this cabin.
Result<Json> LegOf(const Records& records, const Json& flight_and_date, const std::string& cabin,
                   std::size_t passengers);

// The sum of a reservation's legs for one passenger.
Amount SeatPrice(const Json& legs);

// What a gift card or a certificate holds.
Amount MoneyLeft(const Json& method);

// Takes the amount, which may be below 0, from a gift card; other methods are settled outside the
// records.
void TakeFromGiftCard(Json& method, Amount amount);

}  // namespace metier::worlds::airline

// worlds/airline/tools.h - the tools of the airline world; airline/domain.cc says what they take.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "worlds/records.h"

namespace metier::worlds::airline {

// lookups.cc: find and show; they change nothing.
Result<std::string> GetReservationDetails(Records& records, const Json& arguments);
Result<std::string> GetUserDetails(Records& records, const Json& arguments);
Result<std::string> ListAllAirports(Records& records, const Json& arguments);
Result<std::string> SearchDirectFlight(Records& records, const Json& arguments);
Result<std::string> SearchOnestopFlight(Records& records, const Json& arguments);

// booking.cc: what is new.
Result<std::string> BookReservation(Records& records, const Json& arguments);
Result<std::string> SendCertificate(Records& records, const Json& arguments);

// changes.cc: what is there.
Result<std::string> CancelReservation(Records& records, const Json& arguments);
Result<std::string> UpdateReservationBaggages(Records& records, const Json& arguments);
Result<std::string> UpdateReservationFlights(Records& records, const Json& arguments);
Result<std::string> UpdateReservationPassengers(Records& records, const Json& arguments);

}  // namespace metier::worlds::airline

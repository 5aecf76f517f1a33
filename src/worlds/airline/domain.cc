#include "worlds/airline/tools.h"
#include "worlds/domains.h"

namespace metier::worlds {
namespace {

constexpr TableSpec kAirlineTables[] = {
    {"flights", R"({"origin": "", "destination": "", "scheduled_departure_time_est": "",
                    "scheduled_arrival_time_est": "",
                    "dates": {"*": {"status": "", "available_seats?": {"*": 0},
                                    "prices?": {"*": 0.5}}}})"},
    {"reservations", R"({"user_id": "", "cabin": "", "passengers": [{}], "nonfree_baggages": 0,
                         "flights": [{"flight_number": "", "date": "", "price": 0.5}],
                         "payment_history": [{"payment_id": "", "amount": 0.5}]})"},
    {"users", R"({"payment_methods": {"*": {"source": "", "amount?": 0.5}},
                  "reservations": [""]})"},
};

// Models repeat what they have read of a flight; its places and its price are ours to say.
constexpr Tool kAirlineTools[] = {
    {"book_reservation",
     R"({"user_id": "", "origin": "", "destination": "", "flight_type": "one_way|round_trip",
         "total_baggages": 0, "nonfree_baggages": 0, "insurance": "yes|no",
         "cabin": "basic_economy|economy|business",
         "flights": [{"flight_number": "", "date": "", "origin?": "", "destination?": "",
                      "price?": 0.5}],
         "passengers": [{"first_name": "", "last_name": "", "dob": ""}],
         "payment_methods": [{"payment_id": "", "amount": 0.5}]})",
     &airline::BookReservation},
    {"calculate", R"({"expression": ""})", &CalculateTool},
    {"cancel_reservation", R"({"reservation_id": ""})", &airline::CancelReservation},
    {"get_reservation_details", R"({"reservation_id": ""})", &airline::GetReservationDetails},
    {"get_user_details", R"({"user_id": ""})", &airline::GetUserDetails},
    {"list_all_airports", "{}", &airline::ListAllAirports},
    {"search_direct_flight", R"({"origin": "", "destination": "", "date": ""})",
     &airline::SearchDirectFlight},
    {"search_onestop_flight", R"({"origin": "", "destination": "", "date": ""})",
     &airline::SearchOnestopFlight},
    {"send_certificate", R"({"user_id": "", "amount": 0.5})", &airline::SendCertificate},
    {"think", R"({"thought": ""})", &ThinkTool},
    {"transfer_to_human_agents", R"({"summary": ""})", &TransferTool, AfterCall::kConversationEnds},
    {"update_reservation_baggages",
     R"({"reservation_id": "", "total_baggages": 0, "nonfree_baggages": 0, "payment_id": ""})",
     &airline::UpdateReservationBaggages},
    {"update_reservation_flights",
     R"({"reservation_id": "", "payment_id": "", "cabin": "basic_economy|economy|business",
         "flights": [{"flight_number": "", "date": "", "origin?": "", "destination?": "",
                      "price?": 0.5}]})",
     &airline::UpdateReservationFlights},
    {"update_reservation_passengers",
     R"({"reservation_id": "", "passengers": [{"first_name": "", "last_name": "", "dob": ""}]})",
     &airline::UpdateReservationPassengers},
};

}  // namespace

const DomainSpec kAirlineDomain = {"airline", kAirlineTables, kAirlineTools};

}  // namespace metier::worlds

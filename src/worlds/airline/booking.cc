#include <string_view>

#include "worlds/airline/seats.h"
#include "worlds/airline/tools.h"
#include "worlds/tool.h"

namespace metier::worlds::airline {
namespace {

constexpr std::string_view kNow = "2024-05-15T15:00:00";  // when every conversation takes place
constexpr int kInsurancePrice = 30;                       // a passenger
constexpr int kBaggagePrice = 50;                         // a bag that is not free

// The next code in the order of "AZ", "BA", "BB" ...: codes of new records are no secret, and the
// same calls have to make the same ones.
void Advance(std::string& code) {
  for (auto letter = code.rbegin(); letter != code.rend(); ++letter) {
    if (*letter != 'Z') {
      ++*letter;
      return;
    }
    *letter = 'A';
  }
}

std::string NewReservationId(const Records& records) {
  std::string id = "HATHAT";
  while (records.Find("reservations", id) != nullptr) Advance(id);
  return id;
}

// The user's payment methods after these payments, each of which its method has to hold and which
// have to add up to the price. A certificate is spent as a whole, whatever remains of it.
Result<Json> MethodsAfter(Json methods, const Json& payments, Amount price) {
  Amount paid;
  for (const Json& payment : payments) {
    const std::string& id = TextOf(payment, "payment_id");
    const Amount amount(payment.at("amount"));
    const auto method = methods.find(id);
    if (method == methods.end())
      return Error(ErrorCode::kNotFound, "payment method " + id + " not found");
    const std::string& source = TextOf(*method, "source");
    const bool prepaid = source == "gift_card" || source == "certificate";
    if (prepaid && MoneyLeft(*method) < amount)
      return Error(ErrorCode::kInvalidArgument, "not enough balance in payment method " + id);
    paid = paid + amount;
    if (source == "certificate") {
      methods.erase(id);
    } else {
      TakeFromGiftCard(*method, amount);
    }
  }
  if (paid == price) return methods;
  return Error(ErrorCode::kInvalidArgument, "payment amount does not add up, total price is " +
                                                price.Text() + ", but paid " + paid.Text());
}

}  // namespace

// Seats are not taken from the flight, here and in changes: what a conversation sees of flights
// stays as it was.
Result<std::string> BookReservation(Records& records, const Json& arguments) {
  const std::string& user_id = TextOf(arguments, "user_id");
  const std::string& cabin = TextOf(arguments, "cabin");
  const Json& passengers = arguments.at("passengers");
  const Json* user = records.Find("users", user_id);
  if (user == nullptr) return Error(ErrorCode::kNotFound, "user not found");

  Json reservation = {{"reservation_id", NewReservationId(records)}, {"user_id", user_id}};
  for (const char* name : {"origin", "destination", "flight_type", "cabin"})
    reservation[name] = arguments.at(name);
  Json& legs = reservation["flights"] = Json::array();
  for (const Json& flight : arguments.at("flights")) {
    METIER_ASSIGN(Json leg, LegOf(records, flight, cabin, passengers.size()));
    legs.push_back(std::move(leg));
  }

  const Amount travellers(Json(passengers.size()));
  Amount price = SeatPrice(legs) * travellers;
  if (TextOf(arguments, "insurance") == "yes")
    price = price + Amount(Json(kInsurancePrice)) * travellers;
  price = price + Amount(Json(kBaggagePrice)) * Amount(arguments.at("nonfree_baggages"));
  const Json& payments = arguments.at("payment_methods");
  METIER_ASSIGN(Json methods, MethodsAfter(user->at("payment_methods"), payments, price));

  reservation["passengers"] = passengers;
  reservation["payment_history"] = payments;
  reservation["created_at"] = kNow;
  for (const char* name : {"total_baggages", "nonfree_baggages", "insurance"})
    reservation[name] = arguments.at(name);
  Json& payer = *records.Change("users", user_id);
  payer["payment_methods"] = std::move(methods);
  const std::string id = TextOf(reservation, "reservation_id");
  payer.at("reservations").push_back(id);
  std::string text = DumpPython(reservation);
  records.Put("reservations", id, std::move(reservation));
  return text;
}

Result<std::string> SendCertificate(Records& records, const Json& arguments) {
  constexpr int kFirstCertificate = 3221322;
  const std::string& user_id = TextOf(arguments, "user_id");
  Json* user = records.Change("users", user_id);
  if (user == nullptr) return Error(ErrorCode::kNotFound, "user not found");
  Json& methods = user->at("payment_methods");
  int number = kFirstCertificate;
  while (methods.contains("certificate_" + std::to_string(number))) ++number;
  const std::string id = "certificate_" + std::to_string(number);
  const Json& amount = arguments.at("amount");
  methods[id] = {{"source", "certificate"}, {"amount", amount}, {"id", id}};
  return "Certificate " + id + " added to user " + user_id + " with amount " +
         Amount(amount).Text() + ".";
}

}  // namespace metier::worlds::airline

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "worlds/airline/seats.h"
#include "worlds/airline/tools.h"
#include "worlds/tool.h"

namespace metier::worlds::airline {
namespace {

// Code and city of what the airline serves; the records name the codes alone.
constexpr std::pair<const char*, const char*> kAirports[] = {
    {"SFO", "San Francisco"}, {"JFK", "New York"}, {"LAX", "Los Angeles"},  {"ORD", "Chicago"},
    {"DFW", "Dallas"},        {"DEN", "Denver"},   {"SEA", "Seattle"},      {"ATL", "Atlanta"},
    {"MIA", "Miami"},         {"BOS", "Boston"},   {"PHX", "Phoenix"},      {"IAH", "Houston"},
    {"LAS", "Las Vegas"},     {"MCO", "Orlando"},  {"EWR", "Newark"},       {"CLT", "Charlotte"},
    {"MSP", "Minneapolis"},   {"DTW", "Detroit"},  {"PHL", "Philadelphia"}, {"LGA", "LaGuardia"},
};

// A flight on one day, without its other days.
Json FlightOnDay(const Json& flight, const Json& day) {
  Json shown = Json::object();
  for (const auto& [name, field] : flight.items())
    if (name != "dates") shown[name] = field;
  for (const auto& [name, field] : day.items()) shown[name] = field;
  return shown;
}

// The day after "YYYY-MM-DD"; nothing when that is no date.
std::optional<std::string> NextDay(std::string_view date) {
  const auto number = [&](std::size_t from, std::size_t size) {
    unsigned value = 0;
    const char* begin = date.data() + from;
    const auto [stop, error] = std::from_chars(begin, begin + size, value);
    return error == std::errc() && stop == begin + size ? value : 0;
  };
  if (date.size() != 10 || date[4] != '-' || date[7] != '-') return std::nullopt;
  using std::chrono::year_month_day;
  const year_month_day day{std::chrono::year(static_cast<int>(number(0, 4))),
                           std::chrono::month(number(5, 2)), std::chrono::day(number(8, 2))};
  if (!day.ok()) return std::nullopt;
  const year_month_day next = std::chrono::sys_days(day) + std::chrono::days(1);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(next.year()),
                     static_cast<unsigned>(next.month()), static_cast<unsigned>(next.day()));
}

// The date on which the second flight of a connection leaves: that of the first one, or the next
// where it lands after midnight ("01:30:00+1"); nothing where the second has left by then.
std::optional<std::string> ConnectingDate(const Json& first, const Json& second,
                                          const std::string& date) {
  const std::string& lands = TextOf(first, "scheduled_arrival_time_est");
  // The times are compared as texts, so one with "+1" counts as a little later than the same
  // without: a connection in the very minute of landing is not offered.
  if (lands > TextOf(second, "scheduled_departure_time_est")) return std::nullopt;
  return lands.find("+1") == std::string::npos ? date : NextDay(date);
}

bool Flies(const Json& flight, std::string_view field, const std::string& airport) {
  return TextOf(flight, field) == airport;
}

}  // namespace

Result<std::string> GetReservationDetails(Records& records, const Json& arguments) {
  return RecordText(records.Find("reservations", TextOf(arguments, "reservation_id")),
                    "reservation");
}

Result<std::string> GetUserDetails(Records& records, const Json& arguments) {
  return RecordText(records.Find("users", TextOf(arguments, "user_id")), "user");
}

Result<std::string> ListAllAirports(Records&, const Json&) {
  Json airports = Json::object();
  for (const auto& [code, city] : kAirports) airports[code] = city;
  return DumpPython(airports);
}

Result<std::string> SearchDirectFlight(Records& records, const Json& arguments) {
  Json found = Json::array();
  records.Visit("flights", [&](const std::string&, const Json& flight) {
    if (!Flies(flight, "origin", TextOf(arguments, "origin"))) return true;
    if (!Flies(flight, "destination", TextOf(arguments, "destination"))) return true;
    const Json* day = BookableDay(flight, TextOf(arguments, "date"));
    if (day != nullptr) found.push_back(FlightOnDay(flight, *day));
    return true;
  });
  return DumpPython(found);
}

Result<std::string> SearchOnestopFlight(Records& records, const Json& arguments) {
  const std::string& date = TextOf(arguments, "date");
  std::vector<const Json*> first_legs;
  std::vector<const Json*> second_legs;
  records.Visit("flights", [&](const std::string&, const Json& flight) {
    if (Flies(flight, "origin", TextOf(arguments, "origin"))) first_legs.push_back(&flight);
    if (Flies(flight, "destination", TextOf(arguments, "destination")))
      second_legs.push_back(&flight);
    return true;
  });

  Json found = Json::array();
  for (const Json* first : first_legs) {
    const Json* first_day = BookableDay(*first, date);
    if (first_day == nullptr) continue;
    for (const Json* second : second_legs) {
      if (!Flies(*second, "origin", TextOf(*first, "destination"))) continue;
      const std::optional<std::string> second_date = ConnectingDate(*first, *second, date);
      if (!second_date) continue;
      if (BookableDay(*second, *second_date) == nullptr) continue;
      // Seats and prices of the second flight are those of the day asked for, also where it leaves
      // on the next: so the recorded tool has it (docs/worlds.md).
      const Json& days = second->at("dates");
      const Json& shown = days.at(days.contains(date) ? date : *second_date);
      Json connection = Json::array({FlightOnDay(*first, *first_day), FlightOnDay(*second, shown)});
      connection[0]["date"] = date;
      connection[1]["date"] = *second_date;
      found.push_back(std::move(connection));
    }
  }
  return DumpPython(found);
}

}  // namespace metier::worlds::airline

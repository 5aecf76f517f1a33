// retail/records.h - records of the base corpus that a tool would give, in the shop's own form: an
// order, the orders of somebody, the versions of a thing; and questions about them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "retail/talk.h"

namespace metier::retail {

struct Thing {
  std::string kind;    // "kettle"
  std::string name;    // "Alder kettle"
  std::string option;  // "green, 35 l"
  std::string number;
  std::string price;
};

struct Version {
  std::string option;
  std::string number;
  int left;
};

struct OrderOf {
  std::string number;
  std::vector<Thing> things;
};

// A thing of this kind and name, the rest drawn.
Thing AThing(const std::string& kind, const std::string& name, Scene& scene);

// Up to `count` things, each of another kind, so that "the kettle" is one thing; `meant` stands
// among them, at `place`.
std::vector<Thing> DrawThings(const Thing& meant, int count, Scene& scene, std::size_t& place);
// At most eight versions of a kind, at least one, each with another option.
std::vector<Version> DrawVersions(const std::string& kind, Scene& scene);

// "shipped"
std::string AnyStatus(Scene& scene);

// {"order_id", "status", "paid_by", "items"}, {"orders"} and {"item", "material", "price",
// "options"}, on one line.
std::string OrderRecord(const OrderOf& order, const std::string& status, Scene& scene);
std::string OrdersRecord(const std::vector<OrderOf>& orders);
std::string VersionsRecord(const std::string& thing, const std::vector<Version>& versions,
                           Scene& scene);

// A customer names one of them after another, `most` at most; each is followed by a note of its
// number, or of the order's. A record is long and a number short: many questions about one record
// teach looking up with fewer words.
void AskForThings(const std::vector<Thing>& things, int most, const Slots& slots, Talk& talk);
void AskForOrders(const std::vector<OrderOf>& orders, int most, const Slots& slots, Talk& talk);
void AskForVersions(const std::vector<Version>& versions, int most, const Slots& slots, Talk& talk);

// A record and many questions about it.
void LookUpNumbers(Talk& talk);

// <note>{...}</note>
std::string Note(const Json& note);

}  // namespace metier::retail

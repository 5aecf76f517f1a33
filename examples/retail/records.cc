#include "retail/records.h"

#include <algorithm>
#include <utility>

#include "retail/generate.h"
#include "retail/letters.h"
#include "retail/policy.h"
#include "retail/world.h"

namespace metier::retail {
namespace {

// Each once at most: an answer that was given before would only be repeated.
template <class Element>
std::vector<Element> Some(std::vector<Element> list, int count, Rng& rng) {
  Shuffle(list, rng);
  if (static_cast<std::size_t>(count) < list.size()) {
    list.erase(list.begin() + count, list.end());
  }
  return list;
}

// Notes a number, every other time behind the name of what it belongs to. To find a number by a
// name that stands right before it is learned first, to find it by a name said elsewhere comes from
// that.
void NoteNumber(std::size_t question, const std::string& name_key, const std::string& name,
                const std::string& number_key, const std::string& number, Talk& talk) {
  Json known = Json::object();
  if (question % 2 == 0) known[name_key] = name;
  known[number_key] = number;
  talk.Say("assistant", Note({{"known", std::move(known)}}));
}

void SayItem(const Thing& thing, const Slots& slots, Talk& talk) {
  Slots words = slots;
  words["kind"] = thing.kind;
  words["item"] = thing.name;
  words["item"] = talk.Phrase("ref/item", words);
  talk.Say("user", Typed("say/item", words, talk.scene()));
}

// Over several orders, in their order, one to three to each.
std::vector<OrderOf> Spread(const std::vector<Thing>& things, Scene& scene) {
  std::vector<OrderOf> orders;
  for (std::size_t i = 0; i < things.size();) {
    OrderOf order{scene.OrderId(), {}};
    const std::size_t end = i + static_cast<std::size_t>(scene.Number(1, 3));
    for (; i < std::min(end, things.size()); ++i) order.things.push_back(things[i]);
    orders.push_back(std::move(order));
  }
  return orders;
}

}  // namespace

std::string Note(const Json& note) { return "<note>" + DumpPython(note) + "</note>"; }

Thing AThing(const std::string& kind, const std::string& name, Scene& scene) {
  return {kind, name, AnyOption(kind, scene), scene.Sku(), scene.Price()};
}

std::vector<Thing> DrawThings(const Thing& meant, int count, Scene& scene, std::size_t& place) {
  std::vector<Thing> things;
  const auto has = [&things, &meant](const std::string& kind) {
    return kind == meant.kind || std::any_of(things.begin(), things.end(), [&](const Thing& thing) {
             return thing.kind == kind;
           });
  };
  for (int i = 1; i < count; ++i) {
    const Slots other = scene.Draw();
    if (!has(other.at("kind"))) things.push_back(AThing(other.at("kind"), other.at("item"), scene));
  }
  place = scene.rng().Below(things.size() + 1);
  things.insert(things.begin() + static_cast<std::ptrdiff_t>(place), meant);
  return things;
}

std::vector<Version> DrawVersions(const std::string& kind, Scene& scene) {
  std::vector<Version> versions;
  const int tries = scene.Number(2, 8);
  for (int i = 0; i < tries; ++i) {
    Version version{AnyOption(kind, scene), scene.Sku(), scene.Number(0, 40)};
    const auto same = [&version](const Version& other) { return other.option == version.option; };
    if (std::none_of(versions.begin(), versions.end(), same)) {
      versions.push_back(std::move(version));
    }
  }
  return versions;
}

std::string AnyStatus(Scene& scene) {
  static constexpr OrderStatus kStatuses[] = {OrderStatus::kPlaced,    OrderStatus::kPaid,
                                              OrderStatus::kPacked,    OrderStatus::kShipped,
                                              OrderStatus::kDelivered, OrderStatus::kCancelled,
                                              OrderStatus::kReturned};
  return std::string(Name(Any(kStatuses, scene)));
}

std::string OrderRecord(const OrderOf& order, const std::string& status, Scene& scene) {
  static constexpr Payment kPayments[] = {Payment::kCard, Payment::kGiftCard, Payment::kWallet,
                                          Payment::kBankTransfer};
  static constexpr ReturnState kReturns[] = {ReturnState::kOpen, ReturnState::kClosed,
                                             ReturnState::kFinalSale, ReturnState::kDone};
  const bool delivered = status == Name(OrderStatus::kDelivered);
  Json out = {{"order_id", order.number}, {"status", status}};
  if (delivered) out["days_since_delivery"] = scene.Number(1, 400);
  out["paid_by"] = Name(Any(kPayments, scene));
  Json items = Json::array();
  for (const Thing& thing : order.things) {
    Json item = {{"item", thing.name},
                 {"sku", thing.number},
                 {"option", thing.option},
                 {"price", thing.price},
                 {"return", Name(delivered ? Any(kReturns, scene) : ReturnState::kNotDelivered)}};
    if (delivered) item["warranty"] = Chance(0.5, scene.rng()) ? "valid" : "over";
    items.push_back(std::move(item));
  }
  out["items"] = std::move(items);
  return DumpCompact(out);
}

std::string OrdersRecord(const std::vector<OrderOf>& orders) {
  Json list = Json::array();
  for (const OrderOf& order : orders) {
    std::string items;
    for (const Thing& thing : order.things) items += (items.empty() ? "" : ", ") + thing.name;
    list.push_back({{"items", items}, {"order_id", order.number}});
  }
  return DumpCompact({{"orders", list}});
}

std::string VersionsRecord(const std::string& thing, const std::vector<Version>& versions,
                           Scene& scene) {
  Json list = Json::array();
  for (const Version& version : versions) {
    list.push_back({{"option", version.option}, {"sku", version.number}, {"stock", version.left}});
  }
  const Slots words = scene.Draw();
  return DumpCompact({{"item", thing},
                      {"material", words.at("material")},
                      {"price", words.at("price")},
                      {"options", list}});
}

void AskForThings(const std::vector<Thing>& things, int most, const Slots& slots, Talk& talk) {
  std::size_t question = 0;
  for (const Thing& thing : Some(things, most, talk.scene().rng())) {
    SayItem(thing, slots, talk);
    NoteNumber(question++, "item", thing.name, "sku", thing.number, talk);
  }
}

void AskForOrders(const std::vector<OrderOf>& orders, int most, const Slots& slots, Talk& talk) {
  std::size_t question = 0;
  for (const OrderOf& order : Some(orders, most, talk.scene().rng())) {
    const Thing& thing = PickOne(order.things, talk.scene().rng());
    SayItem(thing, slots, talk);
    NoteNumber(question++, "item", thing.name, "order_id", order.number, talk);
  }
}

void AskForVersions(const std::vector<Version>& versions, int most, const Slots& slots,
                    Talk& talk) {
  Slots words = slots;
  std::size_t question = 0;
  for (const Version& version : Some(versions, most, talk.scene().rng())) {
    words["option"] = version.option;
    talk.Say("user", Typed("option/want", words, talk.scene()));
    NoteNumber(question++, "option", version.option, "new_sku", version.number, talk);
  }
}

void LookUpNumbers(Talk& talk) {
  Scene& scene = talk.scene();
  const Slots slots = LetterSlots(scene);
  const int most = scene.Number(3, 6);
  const std::uint64_t record = scene.rng().Below(4);
  if (record == 0) {
    const std::vector<Version> versions = DrawVersions(slots.at("kind"), scene);
    talk.Say("tool", VersionsRecord(slots.at("thing"), versions, scene));
    talk.Say("assistant", talk.Phrase("chat/found"));
    return AskForVersions(versions, most, slots, talk);
  }
  std::size_t place = 0;
  const Thing meant = AThing(slots.at("kind"), slots.at("thing"), scene);
  const std::vector<Thing> things = DrawThings(meant, scene.Number(2, 6), scene, place);
  if (record == 1) {
    const std::vector<OrderOf> orders = Spread(things, scene);
    talk.Say("tool", OrdersRecord(orders));
    talk.Say("assistant", talk.Phrase("chat/found"));
    return AskForOrders(orders, most, slots, talk);
  }
  talk.Say("tool", OrderRecord({slots.at("order_id"), things}, AnyStatus(scene), scene));
  talk.Say("assistant", talk.Phrase("chat/found"));
  AskForThings(things, most, slots, talk);
}

}  // namespace metier::retail

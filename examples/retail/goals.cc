#include "retail/goals.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "fmt/format.h"
#include "retail/catalogue.h"
#include "retail/generate.h"
#include "retail/phrasebook.h"
#include "retail/toolbox.h"

namespace metier::retail {
namespace {

// How often each request comes first, in the order of Request. Those who learn see the rare ones
// more often, and most often the two that are told apart by few words.
using Weights = std::array<int, kRequests>;
constexpr Weights kWeights = {12, 10, 8, 10, 8, 7, 5, 5, 5, 3, 6, 6, 5, 3, 2, 2, 2, 3, 2, 2, 2};
constexpr Weights kTrainWeights = {10, 8, 7, 14, 14, 8, 6, 6, 6, 5, 6,
                                   6,  5, 5, 4,  4,  4, 4, 4, 4, 4};

bool NeedsOrder(Request request) { return request <= Request::kPriceDrop; }

bool IsWorn(const Product& product) {
  return product.category == "clothing" || product.category == "shoes";
}

}  // namespace

GoalMaker::GoalMaker(const World& world, Split split) : world_(world), split_(split) {
  for (std::size_t i = 0; i < world.orders.size(); ++i) {
    if (world.customers[world.orders[i].customer].split == split) orders_.push_back(i);
  }
  for (std::size_t i = 0; i < world.variants.size(); ++i) {
    if (world.products[world.variants[i].product].split == split) variants_.push_back(i);
  }
}

bool GoalMaker::Fits(Request request, std::uint64_t turn, const Order& order,
                     const OrderLine& line) const {
  const OrderStatus status = order.status;
  const ReturnState state = ReturnStateOf(world_, order, line);
  const bool kept = line.state == LineState::kKept && !IsClosed(status);
  const bool delivered = status == OrderStatus::kDelivered && kept;
  const bool stocked = world_.variants[line.variant].stock > 0;
  const Product& product = world_.ProductOf(line);
  switch (request) {
    case Request::kWhereIs: {
      if (turn < 6) {
        if (status != OrderStatus::kShipped || !order.parcel) return false;
        const bool lost = order.parcel->status == ParcelStatus::kLost;
        const bool late = order.parcel->days_late >= kLateDays;
        return turn == 0 ? lost : (turn < 3 ? late && !lost : !late && !lost);
      }
      return turn < 8 ? MayStillChange(status) || status == OrderStatus::kPacked
                      : status >= OrderStatus::kDelivered;
    }
    case Request::kCancel:
    case Request::kChangeAddress:
      if (turn < 6) return MayStillChange(status);
      return turn < 9 ? status >= OrderStatus::kPacked && status <= OrderStatus::kDelivered
                      : IsClosed(status);
    case Request::kReturn:
      if (turn < 6) return state == ReturnState::kOpen;
      if (turn == 6) return state == ReturnState::kFinalSale;
      return turn < 9 ? state == ReturnState::kClosed : kept && state == ReturnState::kNotDelivered;
    case Request::kExchange:
      if (turn < 8) {
        return state == ReturnState::kOpen &&
               world_.VariantsOf(world_.variants[line.variant].product).size() > 1;
      }
      return delivered && state == ReturnState::kClosed;
    case Request::kDamaged:
      if (turn < 8) return delivered && ClaimOpen(world_, order, line) && (stocked || turn < 6);
      return delivered && !ClaimOpen(world_, order, line);
    case Request::kMissing:
      return delivered && order.lines.size() > 1 && ClaimOpen(world_, order, line) == (turn < 7);
    case Request::kFaulty:
      return delivered && product.return_days > 0 &&
             (turn < 7) == (state == ReturnState::kOpen || WarrantyRuns(world_, order, line)) &&
             (turn > 2 || state == ReturnState::kClosed);
    case Request::kPriceDrop: {
      const bool recent = DaysSinceDelivery(order, world_.today).value_or(0) <= kPriceDropDays;
      if (turn < 6) return kept && PriceDropOpen(world_, order, line);
      return kept && (turn < 8 ? !recent : recent && !product.on_sale());
    }
    default: return true;
  }
}

std::vector<GoalMaker::Place> GoalMaker::Places(Request request, std::uint64_t turn) const {
  std::vector<Place> out;
  for (const std::size_t order : orders_) {
    const std::vector<OrderLine>& lines = world_.orders[order].lines;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (Fits(request, turn, world_.orders[order], lines[i])) out.push_back({order, i});
    }
  }
  return out;
}

Goal GoalMaker::Make(Request request, const std::vector<Place>& places, Rng& rng,
                     Place& chosen) const {
  chosen = PickOne(places, rng);
  const Order& order = world_.orders[chosen.order];
  const Product& product = world_.ProductOf(order.lines[chosen.line]);
  Goal goal;
  goal.request = request;
  goal.facts.order_id = order.id;
  goal.facts.item = product.name;
  goal.kind = product.kind;
  goal.one_item = order.lines.size() == 1;
  return goal;
}

void GoalMaker::AddOptionOrReason(Goal& goal, const Place& place, std::uint64_t turn,
                                  Rng& rng) const {
  const OrderLine& line = world_.orders[place.order].lines[place.line];
  const Product& product = world_.ProductOf(line);
  const bool sized = IsWorn(product) && !world_.variants[line.variant].size.empty();
  static constexpr const char* kCancel[] = {"changed_mind", "ordered_by_mistake", "found_cheaper",
                                            "too_slow"};
  static constexpr const char* kReturn[] = {"not_as_described", "changed_mind", "too_small",
                                            "too_big"};
  if (goal.request == Request::kCancel) goal.facts.reason = kCancel[rng.Below(4)];
  if (goal.request == Request::kReturn) goal.facts.reason = kReturn[rng.Below(sized ? 4 : 2)];
  if (goal.request == Request::kDamaged) {
    goal.facts.wish = Chance(0.5, rng) ? Wish::kMoney : Wish::kSameAgain;
  }
  if (goal.request != Request::kExchange) return;
  std::vector<std::size_t> others;
  std::vector<std::size_t> empty;
  for (const std::size_t variant : world_.VariantsOf(world_.variants[line.variant].product)) {
    if (variant == line.variant) continue;
    (world_.variants[variant].stock > 0 ? others : empty).push_back(variant);
  }
  const bool wants_empty = (turn >= 6 && !empty.empty()) || others.empty();
  if (wants_empty && empty.empty()) return;
  goal.facts.option = world_.variants[PickOne(wants_empty ? empty : others, rng)].Option();
}

void GoalMaker::AddNewAddress(Goal& goal, std::size_t customer, Rng& rng) const {
  const PhraseBook& book = PhraseBook::Ours();
  const Split split = world_.customers[customer].split;
  goal.facts.street =
      fmt::format("{} {}", Between(1, 240, rng), PickOne(book.Lines("people/street", split), rng));
  goal.facts.city = std::string(PickOne(book.Lines("people/city", split), rng));
  goal.facts.new_postcode = fmt::format("{}", Between(10000, 99999, rng));
}

Goal GoalMaker::MakePublic(Request request, Rng& rng) const {
  static constexpr const char* kInfo[] = {"stock",    "stock",    "price",
                                          "warranty", "material", "options"};
  static constexpr const char* kTopics[] = {
      "return_clothing", "return_electronics", "return_home", "final_sale", "refund_time",
      "cancel_rule",     "address_rule",       "price_match", "late_rule",  "damage_rule"};
  static constexpr const char* kDangerous[] = {"kettle", "toaster",    "desk lamp", "headphones",
                                               "candle", "power bank", "kite",      "bread knife"};
  Goal goal;
  goal.request = request;
  const Variant& variant = world_.variants[PickOne(variants_, rng)];
  const Product& product = world_.products[variant.product];
  if (request == Request::kProductInfo) {
    goal.facts.sku = variant.sku;
    goal.facts.topic = kInfo[rng.Below(std::size(kInfo))];
  } else if (request == Request::kSearch) {
    goal.facts.kind = product.kind;
    // One in five asks for a colour of the kind that may not be there.
    const Kind* kind = FindKind(product.kind);
    METIER_CHECK(kind != nullptr, product.kind.c_str());
    if (Chance(0.55, rng)) {
      goal.facts.colour = Chance(0.8, rng) ? variant.colour : PickOne(kind->colours, rng);
    }
    if (Chance(0.5, rng)) {
      goal.facts.max_price =
          static_cast<int>(product.price_cents / 500 + 1) * 5 + 5 * Between(-1, 4, rng);
      goal.facts.max_price = std::max(goal.facts.max_price, 5);
    }
  } else if (request == Request::kPolicyQuestion) {
    goal.facts.topic = kTopics[rng.Below(std::size(kTopics))];
  } else if (request == Request::kSafety) {
    goal.kind = kDangerous[rng.Below(std::size(kDangerous))];
  } else if (request == Request::kOthersData) {
    const Order& order = world_.orders[PickOne(orders_, rng)];
    goal.other_name = world_.customers[order.customer].FullName();
  }
  return goal;
}

// list_orders shows the newest orders only, and "the kettle" must name one of them.
bool GoalMaker::IsListed(const Place& place) const {
  const Order& order = world_.orders[place.order];
  const std::string& kind = world_.ProductOf(order.lines[place.line]).kind;
  const std::vector<std::size_t> all = world_.OrdersOf(order.customer);
  bool listed = false;
  for (std::size_t i = 0; i < std::min(all.size(), ToolBox::kListedOrders); ++i) {
    listed = listed || all[i] == place.order;
    for (const OrderLine& line : world_.orders[all[i]].lines) {
      if (all[i] != place.order && world_.ProductOf(line).kind == kind) return false;
    }
  }
  return listed;
}

Persona GoalMaker::DrawPersona(const Place& place, const Goal& goal, Rng& rng) const {
  Persona persona;
  persona.temper = static_cast<Temper>(rng.Below(6));
  persona.typo_rate = Chance(0.5, rng) ? 0 : 0.03 + 0.07 * rng.Uniform();
  const Order& order = world_.orders[place.order];
  persona.customer = order.customer;
  persona.tells_identity = Chance(0.3, rng);
  persona.insists = Chance(0.25, rng);
  persona.says_no = Chance(0.08, rng);
  if (goal.request == Request::kProductInfo && Chance(0.1, rng)) {
    do {
      persona.wrong_sku = fmt::format("K{}", Between(1000, 9999, rng));
    } while (world_.FindVariant(persona.wrong_sku));
  }
  if (!NeedsOrder(goal.request) && goal.request != Request::kLoyalty) return persona;
  // At most one difficulty in finding the customer, and one in finding the order.
  const double x = rng.Uniform();
  if (x < 0.08) {
    persona.no_email = true;
    persona.tells_identity = false;
    return persona;
  }
  if (x < 0.16) {
    persona.wrong_identity = Chance(0.3, rng) ? 2 : 1;
  } else if (x < 0.26) {
    persona.tells_email_only = true;
  }
  if (!NeedsOrder(goal.request)) return persona;
  const double y = rng.Uniform();
  if (y < 0.2 && IsListed(place)) {
    persona.no_order_id = true;
  } else if (y > 0.9) {
    do {
      persona.wrong_order_id = fmt::format("W{}", Between(10000, 99999, rng));
    } while (world_.FindOrder(persona.wrong_order_id));
    if (Chance(0.25, rng)) {
      const Order& other = world_.orders[PickOne(orders_, rng)];
      persona.others_order = other.customer != order.customer;
      if (persona.others_order) persona.wrong_order_id = other.id;
    }
  }
  return persona;
}

void GoalMaker::AddSecondGoal(Part& part, const Place& first, Rng& rng) const {
  const Request request = part.goals.front().request;
  const double x = rng.Uniform();
  if (NeedsOrder(request) && x < 0.5 && !part.persona.no_order_id) {
    // Another order of the same customer, or a plain question about the same one.
    const Request next = Chance(0.5, rng) ? Request::kWhereIs : Request::kCancel;
    std::vector<Place> places;
    for (const Place& place : Places(next, rng.Below(10))) {
      const bool same_customer = world_.orders[place.order].customer == part.persona.customer;
      if (same_customer && place.order != first.order && next != request) places.push_back(place);
    }
    if (!places.empty()) {
      Place chosen;
      Goal goal = Make(next, places, rng, chosen);
      AddOptionOrReason(goal, chosen, 0, rng);
      part.goals.push_back(std::move(goal));
      return;
    }
  }
  static constexpr Request kPublic[] = {Request::kProductInfo,    Request::kSearch,
                                        Request::kPolicyQuestion, Request::kCompensation,
                                        Request::kOutOfScope,     Request::kAccountChange};
  const Request next = kPublic[rng.Below(std::size(kPublic))];
  if (next == request) return;
  part.goals.push_back(MakePublic(next, rng));
  part.persona.wrong_sku.clear();
}

Request GoalMaker::Deal(std::uint64_t seed, std::uint64_t index) const {
  const Weights& weights = split_ == Split::kTrain ? kTrainWeights : kWeights;
  std::vector<Request> deck;
  for (std::size_t request = 0; request < weights.size(); ++request)
    deck.insert(deck.end(), static_cast<std::size_t>(weights[request]),
                static_cast<Request>(request));
  // Streams that no dialogue draws from (Simulator).
  Rng rng(seed, (index / deck.size()) * 8 + static_cast<std::uint64_t>(split_) + 4);
  for (std::size_t left = deck.size(); left > 1; --left)
    std::swap(deck[left - 1], deck[rng.Below(left)]);
  return deck[index % deck.size()];
}

Part GoalMaker::Draw(Request request, Rng& rng) const {
  Part part;
  Place chosen{PickOne(orders_, rng), 0};
  if (NeedsOrder(request)) {
    std::uint64_t turn = rng.Below(10);
    std::vector<Place> places = Places(request, turn);
    // A small shop may lack some case: the next one then.
    for (int attempt = 0; places.empty() && attempt < 10; ++attempt) {
      turn = (turn + 1) % 10;
      places = Places(request, turn);
    }
    if (places.empty()) return Draw(Request::kPolicyQuestion, rng);
    part.goals.push_back(Make(request, places, rng, chosen));
    AddOptionOrReason(part.goals.back(), chosen, turn, rng);
    if (request == Request::kChangeAddress) {
      AddNewAddress(part.goals.back(), world_.orders[chosen.order].customer, rng);
    }
  } else if (request == Request::kLoyalty) {
    Goal goal;
    goal.request = request;
    goal.facts.order_id = world_.orders[chosen.order].id;  // in case it must prove who writes
    part.goals.push_back(std::move(goal));
  } else {
    part.goals.push_back(MakePublic(request, rng));
  }
  part.persona = DrawPersona(chosen, part.goals.front(), rng);
  if (Chance(0.2, rng)) AddSecondGoal(part, chosen, rng);
  // Instead of a plain no, some want something else with the same order.
  const bool changeable =
      request == Request::kCancel && part.persona.says_no && part.goals.size() == 1;
  if (changeable && MayStillChange(world_.orders[chosen.order].status)) {
    Goal goal;
    goal.request = Request::kChangeAddress;
    goal.facts.order_id = part.goals.front().facts.order_id;
    goal.facts.same_order = true;
    AddNewAddress(goal, world_.orders[chosen.order].customer, rng);
    part.persona.switches = true;
    part.goals.push_back(std::move(goal));
  }
  return part;
}

}  // namespace metier::retail

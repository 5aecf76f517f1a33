#include "retail/scene.h"

#include <algorithm>
#include <iterator>

#include "fmt/format.h"
#include "retail/catalogue.h"
#include "retail/generate.h"

namespace metier::retail {
namespace {

constexpr Field kFields[] = {
    {"e-mail address", "email", &Scene::Email},
    {"postcode", "postcode", &Scene::Postcode},
    {"order number", "order_id", &Scene::OrderId},
    {"item number", "sku", &Scene::Sku},
    {"customer number", "customer_id", &Scene::CustomerId},
    {"city", "city", &Scene::City},
    {"street", "street", &Scene::Street},
    {"last name", "name", &Scene::Last},
    {"favourite thing", "item", &Scene::Item},
    {"price", "price", &Scene::Price},
    {"password", "word", &Scene::Word},
    {"code name", "code", &Scene::Identifier},
};

constexpr double kInvented = 0.4;  // of the names, where there are spellings for them

}  // namespace

std::span<const Field> Fields() { return kFields; }

std::string Scene::From(std::string_view section) {
  return std::string(PickOne(PhraseBook::Ours().Lines(section, split_), rng_));
}

std::string Scene::Name(std::string_view section) {
  return spellings_ != nullptr && Chance(kInvented, rng_) ? TitleCase(Word()) : From(section);
}

std::string Scene::First() { return From("people/first"); }
std::string Scene::Last() { return Name("people/last"); }
std::string Scene::City() { return Name("people/city"); }
std::string Scene::Street() {
  std::string street = From("people/street");
  if (spellings_ != nullptr && Chance(kInvented, rng_)) {
    street.replace(0, street.find(' '), TitleCase(Word()));
  }
  return fmt::format("{} {}", Number(1, 240), street);
}
std::string Scene::Postcode() { return std::to_string(Number(10000, 99999)); }
// Any letter but those of the shop's own numbers (W, K, C, P): the corpus holds no number of the
// shop, whichever shop was generated, and the shape of a number is learned without its letter.
std::string Scene::Id(int low, int high) {
  static constexpr std::string_view kLetters = "ABDEFGHJLMNQRSTUXYZ";
  return fmt::format("{}{}", kLetters[rng_.Below(kLetters.size())], Number(low, high));
}
std::string Scene::OrderId() { return Id(10000, 99999); }
std::string Scene::Sku() { return Id(1000, 9999); }
std::string Scene::CustomerId() { return Id(1000, 9999); }
std::string Scene::Item(std::string_view kind) {
  return Name("catalogue/series") + " " + std::string(kind);
}
std::string Scene::Item() { return Item(PickOne(Kinds(), rng_).name); }
std::string Scene::Price() { return FormatMoney(Number(5, 250) * 100 + 5 * Number(0, 19)); }
int Scene::Number(int low, int high) { return Between(low, high, rng_); }
std::string Scene::Word() {
  return spellings_ != nullptr && Chance(0.7, rng_) ? spellings_->Word(rng_) : InventedWord(rng_);
}

std::string Scene::Identifier() {
  static constexpr std::string_view kWords[] = {
      "set",  "get",   "new",   "old",  "by",    "id",    "to",    "from", "find", "list", "send",
      "name", "first", "last",  "open", "close", "total", "count", "date", "day",  "type", "state",
      "end",  "item",  "note",  "data", "max",   "min",   "is",    "on",   "off",  "re",   "de",
      "make", "add",   "check", "mail", "page",  "form",  "text",  "box",  "key",  "sum",  "time",
      "rest", "part",  "line",  "log",  "user",  "in",    "out",   "not",  "as",   "for",  "of"};
  std::string out;
  const int words = Number(2, 4);
  for (int i = 0; i < words; ++i) {
    if (i > 0) out += '_';
    out += Chance(0.7, rng_) ? std::string(kWords[rng_.Below(std::size(kWords))]) : Word();
  }
  return out;
}

std::vector<std::string> Scene::People(int count) {
  std::vector<std::string> out;
  while (out.size() < static_cast<std::size_t>(count)) {
    std::string name = First();
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
  }
  return out;
}

const Field& Scene::AnyField() { return Fields()[rng_.Below(Fields().size())]; }

std::string Scene::Value(const Field& field) {
  const auto draw = field.draw;
  return (this->*draw)();
}

std::string Scene::Email() {
  const std::string domain = From("people/domain");
  // Half of the names are invented, so that addresses are copied letter by letter.
  const std::string first = Lower(Chance(0.5, rng_) ? First() : Word());
  const std::string last = Lower(Chance(0.5, rng_) ? Last() : Word());
  const int number = Number(1, 99);
  switch (rng_.Below(5)) {
    case 0: return fmt::format("{}.{}@{}", first, last, domain);
    case 1: return fmt::format("{}{}@{}", first, number, domain);
    case 2: return fmt::format("{}.{}{}@{}", first[0], last, number, domain);
    case 3: return fmt::format("{}_{}@{}", last, number, domain);
    default: return fmt::format("{}{}@{}", first, last, domain);
  }
}

Slots Scene::Draw() {
  const Kind& kind = PickOne(Kinds(), rng_);
  Slots slots;
  slots["kind"] = kind.name;
  const bool plural = kind.name.back() == 's';
  const bool vowel = std::string_view("aeiou").find(kind.name[0]) != std::string_view::npos;
  slots["a_kind"] = plural ? kind.name : (vowel ? "an " : "a ") + kind.name;
  slots["item"] = Item(kind.name);
  slots["colour"] = PickOne(kind.colours, rng_);
  slots["material"] = PickOne(kind.materials, rng_);
  slots["first"] = First();
  slots["friend"] = First();
  slots["last"] = Last();
  slots["city"] = City();
  slots["street"] = Street();
  slots["price"] = Price();
  slots["order_id"] = OrderId();
  slots["sku"] = Sku();
  slots["email"] = Email();
  slots["postcode"] = Postcode();
  slots["number"] = std::to_string(Number(2, 90));
  return slots;
}

}  // namespace metier::retail

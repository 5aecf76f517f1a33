#include "retail/catalogue.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "retail/generate.h"
#include "retail/phrasebook.h"

namespace metier::retail {
namespace {

std::vector<std::string> Cut(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    out.emplace_back(part);
    begin = end + 1;
  }
  if (out.size() == 1 && out.front().empty()) out.clear();
  return out;
}

Kind ReadKind(std::string_view line) {
  const std::vector<std::string> fields = Cut(line, ';');
  METIER_CHECK(fields.size() == 9, "data/catalogue.txt: a kind has nine fields");
  Kind kind;
  kind.name = fields[0];
  kind.category = fields[1];
  kind.low_price = std::stoi(fields[2]);
  kind.high_price = std::stoi(fields[3]);
  kind.return_days = std::stoi(fields[4]);
  kind.warranty_months = std::stoi(fields[5]);
  kind.sizes = Cut(fields[6], ',');
  kind.materials = Cut(fields[7], ',');
  kind.colours = Cut(fields[8], ',');
  return kind;
}

// Prices that shops write: whole dollars less ten cents, a half, or even.
std::int64_t PriceIn(int low, int high, Rng& rng) {
  constexpr int kEndings[] = {-10, -5, -50, 0};
  return Between(low, high, rng) * 100 + kEndings[rng.Below(4)];
}

// Adds `count` different variants of the kind to the product.
void AddVariants(const Kind& kind, std::size_t product, std::size_t count, IdPool& skus, Rng& rng,
                 World& world) {
  std::vector<Variant> all;
  for (const std::string& colour : kind.colours) {
    if (kind.sizes.empty()) all.push_back({"", product, colour, "", 0});
    for (const std::string& size : kind.sizes) all.push_back({"", product, colour, size, 0});
  }
  while (all.size() > count) {
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(rng.Below(all.size())));
  }
  for (Variant& variant : all) {
    variant.sku = skus.Next(rng);
    variant.stock = Chance(0.2, rng) ? 0 : Between(1, 40, rng);
    world.variants.push_back(std::move(variant));
  }
}

}  // namespace

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds = [] {
    std::vector<Kind> out;
    for (const std::string_view line : PhraseBook::Ours().Lines("catalogue/kinds", Split::kTrain)) {
      out.push_back(ReadKind(line));
    }
    return out;
  }();
  return kinds;
}

const Kind* FindKind(std::string_view name) {
  for (const Kind& kind : Kinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

const std::vector<std::string>& AllColours() {
  static const std::vector<std::string> colours = [] {
    std::set<std::string> out;
    for (const Kind& kind : Kinds()) out.insert(kind.colours.begin(), kind.colours.end());
    return std::vector<std::string>(out.begin(), out.end());
  }();
  return colours;
}

std::string TitleCase(std::string_view text) {
  std::string out(text);
  bool start = true;
  for (char& c : out) {
    if (start && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    start = c == ' ';
  }
  return out;
}

void MakeCatalogue(const WorldOptions& options, World& world) {
  Rng rng(options.seed, /*stream=*/1);
  const PhraseBook& book = PhraseBook::Ours();
  IdPool product_ids("P", 4);
  IdPool skus("K", 4);
  std::set<std::string> names;
  while (world.variants.size() < static_cast<std::size_t>(options.skus)) {
    const std::size_t index = world.products.size();
    const Kind& kind = Kinds()[index % Kinds().size()];
    Product product;
    product.split = SplitOfPlace(index);
    product.id = product_ids.Next(rng);
    product.kind = kind.name;
    product.category = kind.category;
    const std::vector<std::string_view> series = book.Lines("catalogue/series", product.split);
    do {
      product.material = PickOne(kind.materials, rng);
      product.name = std::string(PickOne(series, rng)) + " " + kind.name;
      // A large catalogue runs out of series words: the material then tells two products apart.
      if (names.count(product.name) != 0) {
        product.name = std::string(PickOne(series, rng)) + " " + product.material + " " + kind.name;
      }
    } while (!names.insert(product.name).second);
    product.list_price_cents = PriceIn(kind.low_price, kind.high_price, rng);
    product.price_cents = product.list_price_cents;
    if (Chance(0.3, rng)) {
      product.price_cents = product.list_price_cents * (100 - 5 * Between(2, 6, rng)) / 100;
    }
    product.return_days = kind.return_days;
    product.warranty_months = kind.warranty_months;
    world.products.push_back(std::move(product));
    const std::size_t left = static_cast<std::size_t>(options.skus) - world.variants.size();
    AddVariants(kind, index, std::min<std::size_t>(left, 3 + rng.Below(3)), skus, rng, world);
  }
}

void MakeReviews(const WorldOptions& options, World& world) {
  Rng rng(options.seed, /*stream=*/4);
  const PhraseBook& book = PhraseBook::Ours();
  for (const Order& order : world.orders) {
    if (order.status != OrderStatus::kDelivered || !Chance(0.35, rng)) continue;
    const OrderLine& line = PickOne(order.lines, rng);
    const Product& product = world.ProductOf(line);
    const int stars = Chance(0.7, rng) ? Between(4, 5, rng) : Between(1, 3, rng);
    const std::string_view section = stars >= 4   ? "review/good"
                                     : stars == 3 ? "review/fair"
                                                  : "review/poor";
    const Slots slots = {{"item", product.kind}, {"material", product.material}};
    world.reviews.push_back({world.variants[line.variant].product, order.customer, stars,
                             book.Pick(section, product.split, slots, rng).Text()});
  }
}

}  // namespace metier::retail

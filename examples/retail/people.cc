// retail/people.cc - the customers: names, e-mail addresses and homes, partitioned by split.
#include <map>
#include <set>

#include "fmt/format.h"
#include "retail/catalogue.h"
#include "retail/generate.h"
#include "retail/phrasebook.h"

namespace metier::retail {
namespace {

std::string MakeEmail(const Customer& customer, std::string_view domain, Rng& rng) {
  // Many call themselves something that is not their name; what they call themselves is no word.
  const bool handle = Chance(0.6, rng);
  const std::string first = handle ? InventedWord(rng) : Lower(customer.first_name);
  const std::string last =
      handle && Chance(0.5, rng) ? InventedWord(rng) : Lower(customer.last_name);
  const int number = Between(1, 99, rng);
  switch (rng.Below(5)) {
    case 0: return fmt::format("{}.{}@{}", first, last, domain);
    case 1: return fmt::format("{}{}@{}", first, number, domain);
    case 2: return fmt::format("{}.{}{}@{}", first[0], last, number, domain);
    case 3: return fmt::format("{}_{}@{}", last, number, domain);
    default: return fmt::format("{}{}@{}", first, last, domain);
  }
}

}  // namespace

void MakeCustomers(const WorldOptions& options, World& world) {
  Rng rng(options.seed, /*stream=*/2);
  const PhraseBook& book = PhraseBook::Ours();
  IdPool ids("C", 4);
  IdPool postcodes("", 5);
  std::set<std::string> names;
  std::map<std::string, Split> invented;  // whose it is: splits share no last name
  std::set<std::string> emails;
  for (int i = 0; i < options.customers; ++i) {
    Customer customer;
    customer.split = SplitOfPlace(static_cast<std::size_t>(i));
    customer.id = ids.Next(rng);
    const auto words = [&](std::string_view section) {
      return std::string(PickOne(book.Lines(section, customer.split), rng));
    };
    // Small lists of names (valid) may be exhausted by a large world: then namesakes are accepted.
    for (int attempt = 0; attempt < 20; ++attempt) {
      customer.first_name = words("people/first");
      customer.last_name = words("people/last");
      const std::string word = TitleCase(InventedWord(rng));
      const bool ours = invented.emplace(word, customer.split).first->second == customer.split;
      if (ours && Chance(0.4, rng)) customer.last_name = word;
      if (names.insert(customer.FullName()).second) break;
    }
    do {
      customer.email = MakeEmail(customer, words("people/domain"), rng);
      if (emails.count(customer.email) != 0) {
        customer.email = fmt::format("{}{}", Between(1000, 9999, rng), customer.email);
      }
    } while (!emails.insert(customer.email).second);
    customer.street = fmt::format("{} {}", Between(1, 240, rng), words("people/street"));
    customer.city = words("people/city");
    customer.postcode = postcodes.Next(rng);
    customer.tier =
        Chance(0.6, rng) ? Tier::kStandard : (Chance(0.6, rng) ? Tier::kSilver : Tier::kGold);
    world.customers.push_back(std::move(customer));
  }
}

}  // namespace metier::retail

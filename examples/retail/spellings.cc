#include "retail/spellings.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "fmt/format.h"
#include "retail/generate.h"

namespace metier::retail {
namespace {

constexpr std::string_view kSpace = "\u0120";  // how byte-level vocabularies write a space
constexpr std::size_t kShortest = 3;
constexpr std::size_t kLongest = 12;

}  // namespace

Result<Spellings> Spellings::Read(const std::string& path) {
  METIER_ASSIGN(const Json file, ReadJsonFile(path));
  std::vector<std::string> entries;
  const Json::json_pointer place("/model/vocab");
  if (file.is_object() && file.contains(place) && file[place].is_object()) {
    for (const auto& [key, id] : file[place].items()) {
      std::string entry = key.rfind(kSpace, 0) == 0 ? key.substr(kSpace.size()) : key;
      if (entry.empty() || !std::all_of(entry.begin(), entry.end(), IsLetter)) continue;
      entries.push_back(Lower(entry));
    }
  }
  const auto fits = [](const std::string& entry) {
    return entry.size() >= kShortest && entry.size() <= kLongest && !Rude(entry);
  };
  if (std::none_of(entries.begin(), entries.end(), fits)) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: no words in it; expected a tokenizer.json with model.vocab, as "
                             "the stage 'tokenizer' of a recipe writes it",
                             path));
  }
  return Spellings(std::move(entries));
}

std::string Spellings::Word(Rng& rng) const {
  std::string out;
  do {
    out.clear();
    const int count = Between(1, 3, rng);
    for (int i = 0; i < count; ++i) out += PickOne(entries_, rng);
  } while (out.size() < kShortest || out.size() > kLongest || Rude(out));
  return out;
}

}  // namespace metier::retail

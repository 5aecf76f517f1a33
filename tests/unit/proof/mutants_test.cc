// Proofs with something changed in them: none is taken for one, unless the naive checker says that
// it still is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "proof/check_proof.h"
#include "unit/proof/naive_checker.h"
#include "unit/proof/own_databases.h"

namespace metier::proof {
namespace {

// Places of one theorem in the words of a database.
struct Theorem {
  std::string label;
  std::size_t statement = 0;                                   // first word behind $p
  std::size_t equals = 0;                                      // its $=
  std::size_t end = 0;                                         // its $.
  std::vector<std::size_t> disjoint;                           // the $d of its block
  std::vector<std::pair<std::size_t, std::size_t>> essential;  // the expressions of its $e
};

std::vector<Theorem> TheoremsOf(const Words& words) {
  std::vector<Theorem> theorems;
  Theorem next;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "${" || words[i] == "$}") next = Theorem();
    if (words[i] == "$d") next.disjoint.push_back(i);
    if (words[i] == "$e") {
      const std::size_t begin = i + 1;
      while (words[i] != "$.") ++i;
      next.essential.emplace_back(begin, i);
    }
    if (words[i] != "$p") continue;
    Theorem theorem = next;
    theorem.label = words[i - 1];
    theorem.statement = i + 1;
    while (words[i] != "$=") ++i;
    theorem.equals = i;
    while (words[i] != "$.") ++i;
    theorem.end = i;
    theorems.push_back(theorem);
  }
  return theorems;
}

class Mutator {
 public:
  Mutator(Words words, std::uint64_t seed)
      : words_(std::move(words)), theorems_(TheoremsOf(words_)), rng_(seed) {
    for (std::size_t i = 1; i < words_.size(); ++i)
      if (words_[i].size() == 2 && std::string("feap").find(words_[i][1]) != std::string::npos &&
          words_[i][0] == '$') {
        labels_.push_back(words_[i - 1]);
      }
  }

  struct Mutant {
    std::string label;
    std::string kind;
    Words database;
    Words proof;
    bool proof_only = true;
  };

  Mutant Next() {
    const Theorem& theorem = Pick(theorems_);
    Mutant mutant{.label = theorem.label, .database = words_};
    mutant.proof.assign(At(theorem.equals) + 1, At(theorem.end));
    const bool compressed = mutant.proof.front() == "(";
    if (Chance(4)) {
      mutant.proof_only = false;
      ChangeStatement(theorem, mutant);
    } else {
      const int changes = Chance(3) ? 2 + static_cast<int>(Below(2)) : 1;
      for (int i = 0; i < changes; ++i)
        mutant.kind = compressed ? ChangeCompressed(mutant.proof) : ChangeLabels(mutant.proof);
      if (changes > 1) mutant.kind = "several";
    }
    // From behind, so that places before stay what they are.
    auto& words = mutant.database;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(theorem.equals) + 1,
                words.begin() + static_cast<std::ptrdiff_t>(theorem.end));
    words.insert(words.begin() + static_cast<std::ptrdiff_t>(theorem.equals) + 1,
                 mutant.proof.begin(), mutant.proof.end());
    if (!dropped_) return mutant;
    const auto drop = words.begin() + static_cast<std::ptrdiff_t>(*dropped_);
    words.erase(drop, std::find(drop, words.end(), "$.") + 1);
    dropped_.reset();
    return mutant;
  }

  const std::vector<Theorem>& theorems() const { return theorems_; }

 private:
  std::size_t Below(std::size_t bound) { return static_cast<std::size_t>(rng_.Below(bound)); }
  bool Chance(std::size_t one_in) { return Below(one_in) == 0; }
  template <class T>
  const T& Pick(const std::vector<T>& list) {
    return list[Below(list.size())];
  }
  Words::const_iterator At(std::size_t place) const {
    return words_.begin() + static_cast<std::ptrdiff_t>(place);
  }

  // A symbol for another one like it, so that the text stays well-formed.
  std::string Other(const std::string& symbol) {
    static const std::vector<Words> kinds = {
        {"ph", "ps", "ch", "th"}, {"x", "y", "z"}, {"r", "s", "t", "u"}, {"+", "x."}, {"0", "S"}};
    for (const Words& kind : kinds) {
      if (std::find(kind.begin(), kind.end(), symbol) == kind.end()) continue;
      for (;;)
        if (const std::string& other = Pick(kind); other != symbol) return other;
    }
    return symbol;
  }

  void ChangeStatement(const Theorem& theorem, Mutant& mutant) {
    if (!theorem.disjoint.empty() && Chance(2)) {
      mutant.kind = "$d dropped";
      dropped_ = Pick(theorem.disjoint);
      return;
    }
    std::size_t begin = theorem.statement + 1;
    std::size_t end = theorem.equals;
    mutant.kind = "statement";
    if (!theorem.essential.empty() && Chance(3)) {
      mutant.kind = "hypothesis";
      std::tie(begin, end) = Pick(theorem.essential);
      ++begin;  // the typecode
    }
    for (int i = 0; i < 20; ++i) {
      std::string& symbol = mutant.database[begin + Below(end - begin)];
      const std::string other = Other(symbol);
      if (other == symbol) continue;
      symbol = other;
      return;
    }
  }

  std::string ChangeLabels(Words& proof) {
    const std::size_t at = Below(proof.size());
    const auto place = proof.begin() + static_cast<std::ptrdiff_t>(at);
    switch (Below(6)) {
      case 0: *place = Pick(labels_); return "label";
      case 1:
        if (proof.size() > 1) proof.erase(place);
        return "step dropped";
      case 2: proof.insert(place, std::string(*place)); return "step twice";
      case 3: std::swap(*place, proof[Below(proof.size())]); return "steps swapped";
      case 4: *place = "?"; return "? for a step";
      default: proof.insert(place, Pick(labels_)); return "step added";
    }
  }

  std::string ChangeCompressed(Words& proof) {
    const auto close = std::find(proof.begin(), proof.end(), ")");
    const auto listed = static_cast<std::size_t>(close - proof.begin()) - 1;
    if (listed > 0 && Chance(4)) {
      const std::size_t at = 1 + Below(listed);
      switch (Below(3)) {
        case 0: proof[at] = Pick(labels_); return "listed label";
        case 1: std::swap(proof[at], proof[1 + Below(listed)]); return "listed labels swapped";
        default:
          proof.erase(proof.begin() + static_cast<std::ptrdiff_t>(at));
          return "listed label dropped";
      }
    }
    std::string& letters =
        *(proof.end() - 1 -
          static_cast<std::ptrdiff_t>(Below(static_cast<std::size_t>(proof.end() - close) - 1)));
    const std::size_t at = Below(letters.size());
    const char any = static_cast<char>('A' + Below(26));
    switch (Below(6)) {
      case 0: letters[at] = any; return "letter";
      case 1:
        if (letters.size() > 1) letters.erase(at, 1);
        return "letter dropped";
      case 2: letters.insert(at, 1, letters[at]); return "letter twice";
      case 3: std::swap(letters[at], letters[Below(letters.size())]); return "letters swapped";
      case 4: letters.insert(at, 1, '?'); return "? for a letter";
      default: letters.insert(at, 1, any); return "letter added";
    }
  }

  Words words_;
  std::vector<Theorem> theorems_;
  Words labels_;
  Rng rng_;
  std::optional<std::size_t> dropped_;  // the $d that is to go
};

Words ArithmeticWords() { return SplitWords(OwnInOne("arithmetic.mm")); }

TEST(Mutants, TheJudgeAcceptsEveryProofAsItStands) {
  const Words words = ArithmeticWords();
  const std::vector<Theorem> theorems = TheoremsOf(words);
  EXPECT_GE(theorems.size(), 45U);
  for (const Theorem& theorem : theorems)
    EXPECT_TRUE(NaiveChecker::Proves(words, theorem.label)) << theorem.label;
}

TEST(Mutants, NoneOfAThousandIsAcceptedUnlessTheJudgeSaysItIsAProof) {
  constexpr int kMutants = 1500;
  const Words words = ArithmeticWords();
  ASSERT_OK_AND_ASSIGN(const Database original, Database::Read(JoinWords(words)));
  Mutator mutator(words, /*seed=*/20240917);
  std::map<std::string, int> kinds;
  std::map<Verdict, int> verdicts;
  int changed = 0;
  while (changed < kMutants) {
    const auto mutant = mutator.Next();
    if (mutant.database == words) continue;  // a swap of two that are alike
    ++changed;
    ++kinds[mutant.kind];
    const std::string about = mutant.label + ", " + mutant.kind + ":\n" + JoinWords(mutant.proof);
    const bool proves = NaiveChecker::Proves(mutant.database, mutant.label);
    ASSERT_OK_AND_ASSIGN(const Database database, Database::Read(JoinWords(mutant.database)));
    ASSERT_OK_AND_ASSIGN(const TheoremReport report, database.Theorem(mutant.label));
    ++verdicts[report.verdict];
    ASSERT_EQ(report.verdict == Verdict::kProved, proves) << about << report.finding.Text();
    const std::string proof = JoinWords(mutant.proof);
    const bool incomplete = proof.find('?') != std::string::npos;
    if (incomplete) {
      ASSERT_NE(report.verdict, Verdict::kProved) << about;
    } else if (!proves) {
      ASSERT_EQ(report.verdict, Verdict::kWrong) << about;
    }
    if (!mutant.proof_only) continue;
    // The same proof, proposed for the theorem of the database that was not touched.
    ASSERT_OK_AND_ASSIGN(const ProofReport proposed, CheckProof(original, mutant.label, proof));
    ASSERT_EQ(proposed.verdict, report.verdict) << about << proposed.finding.Text();
  }
  EXPECT_EQ(verdicts[Verdict::kUndecided], 0);
  EXPECT_GT(verdicts[Verdict::kOpen], kMutants / 50);
  // Some changes keep a proof one: a variable renamed throughout a statement of one symbol, a $d
  // that nothing needed. They are few, or the mutations would not test much.
  EXPECT_LT(verdicts[Verdict::kProved], kMutants / 20);
  EXPECT_GE(kinds.size(), 18U);
  for (const auto& [kind, count] : kinds) EXPECT_GT(count, 3) << kind;
  RecordProperty("still_proofs", verdicts[Verdict::kProved]);
}

}  // namespace
}  // namespace metier::proof

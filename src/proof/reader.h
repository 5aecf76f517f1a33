// proof/reader.h - reads the statements of a database one after the other.
//
// Internal to the module. Keeps what the rules of the language speak of, the scopes, and asks the
// checker about each proof as it comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proof/database.h"
#include "proof/proof_checker.h"
#include "proof/source.h"
#include "proof/statements.h"

namespace metier::proof {

// What a list has from `begin` on.
template <class T>
Range AddedSince(const std::vector<T>& list, std::size_t begin) {
  return {.begin = static_cast<std::uint32_t>(begin),
          .count = static_cast<std::uint32_t>(list.size() - begin)};
}

class Reader {
 public:
  Reader(Source source, const ReadOptions& options, Statements& into)
      : source_(std::move(source)), options_(options), out_(into), checker_(into) {}

  // To the end of the text.
  Status Read();

 private:
  // Where a ${ began, and what was active then.
  struct Scope {
    Place place;
    std::size_t variables = 0;
    std::size_t hypotheses = 0;
    std::int32_t disjoint = -1;
  };

  Status ReadStatement(const Token& first);
  Status ReadInclude(Place place);
  Status OpenScope(Place place);
  Status CloseScope(Place place);
  Status ReadConstants(Place place);
  Status ReadVariables(Place place);
  Status ReadDisjoint(Place place);
  Status ReadLabelled(const Token& label);
  Status ReadFloating(const Token& label, Place place);
  Status ReadExpressionStatement(const Token& label, StatementKind kind, Place place);
  Status ReadProof(StatementId theorem, Place place);

  // Fills words_ with the tokens up to `end`, which stands in the same file.
  Status ReadWords(Place begin, std::string_view keyword, std::string_view end);
  Status AddName(const Token& token, NameRole role, std::int32_t index);
  Status CheckLabel(const Token& label) const;
  Status CheckSymbol(const Token& symbol) const;
  // words_ as the expression of a statement, at the end of the list of symbols.
  Result<Range> AddExpression(std::string_view keyword, Place place);
  Result<Symbol> ActiveConstant(const Token& token, std::string_view what) const;
  Result<StatementId> AddStatement(const Token& label, StatementKind kind, Range expression);
  Status AddFrame(StatementId assertion);
  void Mark(std::span<const Symbol> expression);
  bool IsMarked(std::int32_t variable) const {
    return marks_[static_cast<std::size_t>(variable)] == mark_;
  }
  Status AddMandatoryDisjoint(Range& pairs);
  Status SpendFrameEntries(std::int64_t entries);

  Error Broken(Place place, const std::string& found, const std::string& expected) const;
  // A word of the text, for a message.
  static std::string Quoted(std::string_view word);

  Source source_;
  const ReadOptions& options_;
  Statements& out_;
  ProofChecker checker_;
  std::vector<Token> words_;
  std::vector<std::string_view> proof_words_;

  std::vector<Scope> scopes_;                   // open blocks
  std::vector<std::int32_t> active_variables_;  // in the order of their declarations
  std::vector<StatementId> active_hypotheses_;
  std::int32_t disjoint_ = -1;  // the newest group in scope
  std::int64_t frame_entries_ = 0;
  std::vector<std::int64_t> marks_;  // by variable: the statement that has it
  std::int64_t mark_ = 0;
};

}  // namespace metier::proof

// A second Metamath checker, the judge of the first: strings throughout, every scope a copy, no
// care for speed, and no line in common. It believes that the text is well-formed and has no
// includes, and checks the one proof it is asked about.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace metier::proof {

using Words = std::vector<std::string>;

// The words of a text without its comments.
inline Words SplitWords(const std::string& text) {
  Words words;
  std::istringstream in(text);
  bool comment = false;
  for (std::string word; in >> word;) {
    if (word == "$(") comment = true;
    if (!comment) words.push_back(word);
    if (word == "$)") comment = false;
  }
  return words;
}

inline std::string JoinWords(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

class NaiveChecker {
 public:
  // Whether the words from `$=` to `$.` of that theorem prove it. A missing step: no.
  static bool Proves(const Words& database, const std::string& theorem) {
    return NaiveChecker().Read(database, theorem);
  }

 private:
  struct Hypothesis {
    std::string label;
    bool floating = false;
    Words expression;
  };
  struct Scope {
    std::set<std::string> variables;
    std::vector<Hypothesis> hypotheses;
    std::set<std::pair<std::string, std::string>> disjoint;  // both ways round
  };
  struct Assertion {
    std::vector<Hypothesis> hypotheses;
    std::set<std::pair<std::string, std::string>> disjoint;
    Words expression;
  };

  bool Read(const Words& words, const std::string& theorem) {
    std::vector<Scope> scopes(1);
    for (std::size_t at = 0; at < words.size();) {
      Scope& scope = scopes.back();
      const std::string& word = words[at++];
      if (word == "${") {
        scopes.push_back(Scope(scope));
      } else if (word == "$}") {
        scopes.pop_back();
      } else if (word == "$c") {
        Until(words, at, "$.");
      } else if (word == "$v") {
        for (const std::string& variable : Until(words, at, "$.")) scope.variables.insert(variable);
      } else if (word == "$d") {
        const Words group = Until(words, at, "$.");
        for (const std::string& a : group)
          for (const std::string& b : group)
            if (a != b) scope.disjoint.emplace(a, b);
      } else {
        const std::string kind = words[at++];
        const Words expression = Until(words, at, kind == "$p" ? "$=" : "$.");
        if (kind == "$f" || kind == "$e") {
          scope.hypotheses.push_back({word, kind == "$f", expression});
          continue;
        }
        const Assertion assertion = Framed(scope, expression);
        if (kind == "$p") {
          const Words proof = Until(words, at, "$.");
          if (word == theorem) return Check(scope, assertion, proof);
        }
        assertions_[word] = assertion;
      }
    }
    return false;
  }

  static Words Until(const Words& words, std::size_t& at, const std::string& end) {
    Words part;
    while (words.at(at) != end) part.push_back(words[at++]);
    ++at;
    return part;
  }

  static Assertion Framed(const Scope& scope, const Words& expression) {
    std::set<std::string> used(expression.begin(), expression.end());
    for (const Hypothesis& hypothesis : scope.hypotheses)
      if (!hypothesis.floating)
        used.insert(hypothesis.expression.begin(), hypothesis.expression.end());
    Assertion assertion{.expression = expression};
    for (const Hypothesis& hypothesis : scope.hypotheses)
      if (!hypothesis.floating || used.count(hypothesis.expression.at(1)) > 0)
        assertion.hypotheses.push_back(hypothesis);
    for (const auto& [a, b] : scope.disjoint)
      if (used.count(a) > 0 && used.count(b) > 0) assertion.disjoint.emplace(a, b);
    return assertion;
  }

  // One step of a proof: false where it cannot be made.
  bool Push(const Scope& scope, const std::string& label, std::vector<Words>& stack) const {
    for (const Hypothesis& hypothesis : scope.hypotheses) {
      if (hypothesis.label != label) continue;
      stack.push_back(hypothesis.expression);
      return true;
    }
    if (assertions_.count(label) == 0) return false;
    const Assertion& assertion = assertions_.at(label);
    if (stack.size() < assertion.hypotheses.size()) return false;
    const std::vector<Words> given(
        stack.end() - static_cast<std::ptrdiff_t>(assertion.hypotheses.size()), stack.end());
    stack.resize(stack.size() - given.size());
    std::map<std::string, Words> substitution;
    for (std::size_t i = 0; i < given.size(); ++i) {
      const Words& expression = assertion.hypotheses[i].expression;
      if (!assertion.hypotheses[i].floating) continue;
      if (given[i].at(0) != expression.at(0)) return false;
      substitution[expression.at(1)] = Words(given[i].begin() + 1, given[i].end());
    }
    const auto substituted = [&](const Words& expression) {
      Words result;
      for (const std::string& word : expression) {
        const auto found = substitution.find(word);
        if (found == substitution.end()) {
          result.push_back(word);
        } else {
          result.insert(result.end(), found->second.begin(), found->second.end());
        }
      }
      return result;
    };
    for (std::size_t i = 0; i < given.size(); ++i)
      if (given[i] != substituted(assertion.hypotheses[i].expression)) return false;
    for (const auto& [x, y] : assertion.disjoint)
      for (const std::string& a : substitution.at(x))
        for (const std::string& b : substitution.at(y))
          if (scope.variables.count(a) > 0 && scope.variables.count(b) > 0 &&
              scope.disjoint.count({a, b}) == 0) {
            return false;
          }
    stack.push_back(substituted(assertion.expression));
    return true;
  }

  bool Check(const Scope& scope, const Assertion& theorem, const Words& proof) const {
    std::vector<Words> stack;
    if (proof.empty()) return false;
    if (proof.front() == "(") {
      if (!CheckCompressed(scope, theorem, proof, stack)) return false;
    } else {
      for (const std::string& label : proof)
        if (!Push(scope, label, stack)) return false;
    }
    return stack.size() == 1 && stack.front() == theorem.expression;
  }

  bool CheckCompressed(const Scope& scope, const Assertion& theorem, const Words& proof,
                       std::vector<Words>& stack) const {
    Words labels;
    for (const Hypothesis& hypothesis : theorem.hypotheses) labels.push_back(hypothesis.label);
    const Words mandatory = labels;
    std::size_t at = 1;
    for (; at < proof.size() && proof[at] != ")"; ++at) {
      if (std::find(mandatory.begin(), mandatory.end(), proof[at]) != mandatory.end()) return false;
      if (assertions_.count(proof[at]) == 0 && !InScope(scope, proof[at])) return false;
      labels.push_back(proof[at]);
    }
    if (at == proof.size()) return false;
    std::string letters;
    for (++at; at < proof.size(); ++at) letters += proof[at];
    std::vector<Words> tagged;
    std::optional<std::size_t> high;
    bool may_tag = false;
    for (const char letter : letters) {
      if (letter >= 'U' && letter <= 'Y') {
        high = high.value_or(0) * 5 + static_cast<std::size_t>(letter - 'T');
        if (*high > 1000000) return false;
        continue;
      }
      if (letter == 'Z' && may_tag && !high) {
        tagged.push_back(stack.back());
        may_tag = false;
        continue;
      }
      if (letter < 'A' || letter > 'T') return false;
      const std::size_t number = high.value_or(0) * 20 + static_cast<std::size_t>(letter - 'A');
      high.reset();
      may_tag = true;
      if (number < labels.size()) {
        if (!Push(scope, labels[number], stack)) return false;
      } else if (number - labels.size() < tagged.size()) {
        stack.push_back(tagged[number - labels.size()]);
      } else {
        return false;
      }
    }
    return !high;
  }

  static bool InScope(const Scope& scope, const std::string& label) {
    return std::any_of(scope.hypotheses.begin(), scope.hypotheses.end(),
                       [&](const Hypothesis& hypothesis) { return hypothesis.label == label; });
  }

  std::map<std::string, Assertion> assertions_;
};

}  // namespace metier::proof

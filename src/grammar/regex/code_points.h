// grammar/regex/code_points.h - sets of Unicode characters.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace metier::grammar {

// Scalar values: 0 to 0x10FFFF without the surrogates, which no text in UTF-8 has.
class CodePoints {
 public:
  struct Range {
    std::uint32_t first = 0;
    std::uint32_t last = 0;  // belongs to it
    bool operator==(const Range&) const = default;
  };

  CodePoints() = default;
  static CodePoints All();
  static CodePoints Of(std::uint32_t first, std::uint32_t last);
  static CodePoints One(std::uint32_t code) { return Of(code, code); }

  // Surrogates among them are left out. Requires first <= last <= 0x10FFFF.
  void Add(std::uint32_t first, std::uint32_t last);
  void Add(const CodePoints& others);
  CodePoints Not() const;
  CodePoints And(const CodePoints& other) const;
  // With the other case of each letter of the simple kind (one letter to one).
  CodePoints WithOtherCases() const;

  bool Contains(std::uint32_t code) const;
  bool empty() const { return ranges_.empty(); }
  // Ascending; two neighbours have something between them.
  const std::vector<Range>& ranges() const { return ranges_; }
  std::uint64_t size() const;
  bool operator==(const CodePoints&) const = default;

 private:
  std::vector<Range> ranges_;
};

// The sets that ECMA-262 names: \d, \w and \s, and \p{...}: general categories, long or short, with
// or without "General_Category=", ASCII, Any, Alphabetic's letters. kUnsupported: another property.
CodePoints Digits();
CodePoints WordCharacters();
CodePoints Spaces();
Result<CodePoints> Property(std::string_view name);

}  // namespace metier::grammar

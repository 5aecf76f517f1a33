#include "grammar/regex/code_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "text/tokenizer/unicode.h"

namespace metier::grammar {
namespace {

constexpr std::uint32_t kLastCode = 0x10FFFF;
constexpr CodePoints::Range kSurrogates = {0xD800, 0xDFFF};

struct Category {
  std::string_view abbreviation;  // of several categories: their first letter
  std::string_view name;
};
constexpr Category kCategories[] = {{"L", "Letter"},
                                    {"Lu", "Uppercase_Letter"},
                                    {"Ll", "Lowercase_Letter"},
                                    {"Lt", "Titlecase_Letter"},
                                    {"Lm", "Modifier_Letter"},
                                    {"Lo", "Other_Letter"},
                                    {"M", "Mark"},
                                    {"Mn", "Nonspacing_Mark"},
                                    {"Mc", "Spacing_Mark"},
                                    {"Me", "Enclosing_Mark"},
                                    {"N", "Number"},
                                    {"Nd", "Decimal_Number"},
                                    {"Nl", "Letter_Number"},
                                    {"No", "Other_Number"},
                                    {"P", "Punctuation"},
                                    {"Pc", "Connector_Punctuation"},
                                    {"Pd", "Dash_Punctuation"},
                                    {"Ps", "Open_Punctuation"},
                                    {"Pe", "Close_Punctuation"},
                                    {"Pi", "Initial_Punctuation"},
                                    {"Pf", "Final_Punctuation"},
                                    {"Po", "Other_Punctuation"},
                                    {"S", "Symbol"},
                                    {"Sm", "Math_Symbol"},
                                    {"Sc", "Currency_Symbol"},
                                    {"Sk", "Modifier_Symbol"},
                                    {"So", "Other_Symbol"},
                                    {"Z", "Separator"},
                                    {"Zs", "Space_Separator"},
                                    {"Zl", "Line_Separator"},
                                    {"Zp", "Paragraph_Separator"},
                                    {"C", "Other"},
                                    {"Cc", "Control"},
                                    {"Cf", "Format"},
                                    {"Cn", "Unassigned"}};

// Ranges of characters of one category each, over all of Unicode; made once.
struct CategoryRun {
  std::array<char, 2> category = {};
  CodePoints::Range range;
};
const std::vector<CategoryRun>& CategoryRuns() {
  static const std::vector<CategoryRun> runs = [] {
    std::vector<CategoryRun> all;
    for (std::uint32_t code = 0; code <= kLastCode; ++code) {
      const std::string_view name = text::GeneralCategory(code);
      const std::array<char, 2> category = {name[0], name[1]};
      if (all.empty() || all.back().category != category) all.push_back({category, {code, code}});
      all.back().range.last = code;
    }
    return all;
  }();
  return runs;
}

CodePoints OfCategory(std::string_view abbreviation) {
  CodePoints set;
  for (const CategoryRun& run : CategoryRuns()) {
    const std::string_view own(run.category.data(), 2);
    if (own.starts_with(abbreviation)) set.Add(run.range.first, run.range.last);
  }
  return set;
}

}  // namespace

CodePoints CodePoints::All() { return Of(0, kLastCode); }

CodePoints CodePoints::Of(std::uint32_t first, std::uint32_t last) {
  CodePoints set;
  set.Add(first, last);
  return set;
}

void CodePoints::Add(std::uint32_t first, std::uint32_t last) {
  METIER_DCHECK(first <= last && last <= kLastCode, "a range of characters");
  if (first <= kSurrogates.last && last >= kSurrogates.first) {
    if (first < kSurrogates.first) Add(first, kSurrogates.first - 1);
    if (last > kSurrogates.last) Add(kSurrogates.last + 1, last);
    return;
  }
  // Ranges that touch the new one become part of it.
  const auto begin =
      std::ranges::lower_bound(ranges_, first == 0 ? 0 : first - 1, {}, &Range::last);
  auto end = begin;
  for (; end != ranges_.end() && end->first <= last + 1; ++end) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
  }
  ranges_.insert(ranges_.erase(begin, end), Range{first, last});
}

void CodePoints::Add(const CodePoints& others) {
  for (const Range& range : others.ranges_) Add(range.first, range.last);
}

CodePoints CodePoints::Not() const {
  CodePoints set;
  std::uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) set.Add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= kLastCode) set.Add(next, kLastCode);
  return set;
}

CodePoints CodePoints::And(const CodePoints& other) const {
  CodePoints set;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const std::uint32_t first = std::max(a->first, b->first);
    const std::uint32_t last = std::min(a->last, b->last);
    if (first <= last) set.Add(first, last);
    (a->last < b->last ? a : b)++;
  }
  return set;
}

CodePoints CodePoints::WithOtherCases() const {
  CodePoints set = *this;
  for (const CategoryRun& run : CategoryRuns()) {
    if (run.category[0] != 'L' && run.category[0] != 'N' && run.category[0] != 'S') continue;
    for (std::uint32_t code = run.range.first; code <= run.range.last; ++code) {
      const std::uint32_t lower = text::SimpleLower(code);
      const std::uint32_t upper = text::SimpleUpper(code);
      if (lower != code && (Contains(code) || Contains(lower))) {
        set.Add(code, code);
        set.Add(lower, lower);
      }
      if (upper != code && (Contains(code) || Contains(upper))) {
        set.Add(code, code);
        set.Add(upper, upper);
      }
    }
  }
  return set;
}

bool CodePoints::Contains(std::uint32_t code) const {
  const auto range = std::ranges::lower_bound(ranges_, code, {}, &Range::last);
  return range != ranges_.end() && range->first <= code;
}

std::uint64_t CodePoints::size() const {
  std::uint64_t sum = 0;
  for (const Range& range : ranges_) sum += range.last - range.first + 1;
  return sum;
}

CodePoints Digits() { return CodePoints::Of('0', '9'); }

CodePoints WordCharacters() {
  CodePoints set = Digits();
  set.Add('A', 'Z');
  set.Add('_', '_');
  set.Add('a', 'z');
  return set;
}

// WhiteSpace and LineTerminator of ECMA-262, sections 12.2 and 12.3.
CodePoints Spaces() {
  CodePoints set = OfCategory("Zs");
  set.Add('\t', '\r');
  set.Add(0x2028, 0x2029);
  set.Add(0xFEFF, 0xFEFF);
  return set;
}

Result<CodePoints> Property(std::string_view name) {
  std::string_view category = name;
  for (const std::string_view prefix : {"General_Category=", "gc="}) {
    if (!category.starts_with(prefix)) continue;
    category.remove_prefix(prefix.size());
    break;
  }
  for (const Category& known : kCategories) {
    if (category == known.abbreviation || category == known.name)
      return OfCategory(known.abbreviation);
  }
  if (name == "Any") return CodePoints::All();
  if (name == "ASCII") return CodePoints::Of(0, 0x7F);
  return Error(ErrorCode::kUnsupported,
               fmt::format("\\p{{{}}}: this property is not known here; general categories (L, Lu, "
                           "Letter, ...), Any and ASCII are",
                           name));
}

}  // namespace metier::grammar

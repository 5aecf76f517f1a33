#include "cli/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/nearest.h"

namespace metier::cli {
namespace {

Error WrongUse(std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message));
}

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

std::string Dashed(std::string_view name) {
  std::string dashed(name);
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  return dashed;
}

// The value that a text stands for. What is not of the kind stays text, and reading it into the
// field says what was expected.
Json ValueOf(FlagKind kind, const std::string& text) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (kind == FlagKind::kSwitch) {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
  }
  if (kind == FlagKind::kWholeNumber) {
    std::int64_t whole = 0;
    const auto [stop, problem] = std::from_chars(begin, end, whole);
    if (problem == std::errc() && stop == end) return whole;
  }
  if (kind == FlagKind::kWholeNumber || kind == FlagKind::kNumber) {
    double number = 0;
    const auto [stop, problem] = std::from_chars(begin, end, number);
    if (problem == std::errc() && stop == end && std::isfinite(number)) return number;
  }
  return text;
}

// One pass over the words: which flag got which texts, and what stood alone.
struct SortedWords {
  std::map<const Flag*, std::vector<std::string>> given;
  std::vector<std::string> alone;
};

class WordSorter {
 public:
  explicit WordSorter(const std::vector<Flag>& flags) : flags_(flags) {}

  Result<SortedWords> Sort(std::span<const std::string> words) {
    bool only_arguments = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (!only_arguments && word == "--") {
        only_arguments = true;
      } else if (only_arguments || word.size() < 2 || word[0] != '-') {
        sorted_.alone.push_back(word);
      } else {
        METIER_TRY(TakeFlag(words, i));
      }
    }
    return std::move(sorted_);
  }

 private:
  Status TakeFlag(std::span<const std::string> words, std::size_t& i) {
    const std::string& word = words[i];
    const std::size_t equals = word.find('=');
    METIER_ASSIGN(const Flag* flag, Find(word.substr(0, equals)));
    std::vector<std::string>& values = sorted_.given[flag];
    if (!values.empty() && flag->kind != FlagKind::kTextList) {
      return WrongUse(fmt::format("--{} is given twice; it takes one value", flag->name));
    }
    if (equals != std::string::npos) {
      values.push_back(word.substr(equals + 1));
    } else if (flag->kind == FlagKind::kSwitch) {
      values.emplace_back("true");
    } else {
      const bool value_follows = i + 1 < words.size() && words[i + 1].substr(0, 2) != "--";
      if (!value_follows) {
        return WrongUse(
            fmt::format("--{} needs a value: {} (write --{}=VALUE for one that starts with --)",
                        flag->name, flag->help, flag->name));
      }
      values.push_back(words[++i]);
    }
    return Ok();
  }

  Result<const Flag*> Find(const std::string& word) const {
    if (word.substr(0, 2) == "--") {
      const std::string name = Dashed(word.substr(2));
      for (const Flag& flag : flags_) {
        if (!flag.positional() && flag.name == name) return &flag;
      }
      std::vector<std::string> known = {"help"};
      for (const Flag& flag : flags_) {
        if (!flag.positional()) known.push_back(flag.name);
      }
      const std::string nearest = NearestName(name, known);
      if (!nearest.empty()) {
        return WrongUse(fmt::format("unknown flag {}: did you mean --{}?", word, nearest));
      }
    }
    return WrongUse(fmt::format("unknown flag {}: --help lists the flags", word));
  }

  const std::vector<Flag>& flags_;
  SortedWords sorted_;
};

// A reading error is about data; here the data is what the user typed.
Status Store(const Flag& flag, const std::string& path, const Json& value) {
  Status stored = flag.store(value, path, flag.constraint);
  if (!stored.ok()) return WrongUse(stored.error().message());
  return Ok();
}

Json ValueOfAll(const Flag& flag, const std::vector<std::string>& texts) {
  if (flag.kind == FlagKind::kTextList) return Json(texts);
  return ValueOf(flag.kind, texts.front());
}

Status StoreArguments(const std::vector<Flag>& flags, const std::vector<std::string>& alone) {
  std::size_t next = 0;
  std::string taken;
  for (const Flag& flag : flags) {
    if (!flag.positional()) continue;
    taken += (taken.empty() ? "" : " ") + flag.name;
    if (next == alone.size()) {
      if (flag.constraint.required) {
        return WrongUse(fmt::format("{} is missing: {}", flag.name, flag.help));
      }
      continue;
    }
    std::vector<std::string> texts;
    do {
      texts.push_back(alone[next++]);
    } while (flag.kind == FlagKind::kTextList && next < alone.size());
    METIER_TRY(Store(flag, flag.name, ValueOfAll(flag, texts)));
  }
  if (next < alone.size()) {
    return WrongUse(
        fmt::format("unexpected argument '{}': {}", alone[next],
                    taken.empty() ? "no arguments are taken here" : "the arguments are " + taken));
  }
  return Ok();
}

}  // namespace

bool Flag::positional() const { return !name.empty() && IsUpper(name[0]); }

std::string Flag::environment_name() const {
  const bool text = kind == FlagKind::kText || kind == FlagKind::kTextList;
  if (positional() || (text && constraint.choices.empty())) return {};
  std::string variable = "METIER_";
  for (const char c : name) {
    variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return variable;
}

std::string FlagList::FlagName(std::string_view name) { return Dashed(name); }

recipe::Constraint& FlagList::Add(Flag flag) {
  METIER_CHECK(flags_.size() < kMostFlags, "raise FlagList::kMostFlags");
  flags_.push_back(std::move(flag));
  return flags_.back().constraint;
}

Status FlagList::Parse(std::span<const std::string> words, const Environment& environment) {
  METIER_ASSIGN(const SortedWords sorted, WordSorter(flags_).Sort(words));
  METIER_TRY(StoreArguments(flags_, sorted.alone));
  for (const Flag& flag : flags_) {
    if (flag.positional()) continue;
    const auto given = sorted.given.find(&flag);
    if (given != sorted.given.end()) {
      METIER_TRY(Store(flag, "--" + flag.name, ValueOfAll(flag, given->second)));
      continue;
    }
    const std::string variable = flag.environment_name();
    const char* preset = variable.empty() ? nullptr : environment(variable);
    if (preset != nullptr && *preset != '\0') {
      METIER_TRY(Store(flag, variable, ValueOfAll(flag, {preset})));
    } else if (flag.constraint.required) {
      return WrongUse(fmt::format("--{} is missing: {}", flag.name, flag.help));
    }
  }
  return Ok();
}

}  // namespace metier::cli

// cli/flags.h - the flags of a verb, from the same list of fields that reads YAML
// (recipe/fields.h).
//
//   struct GenerateOptions {
//     std::string model;
//     std::int64_t max_tokens = 256;
//     template <class Visitor>
//     void Visit(Visitor&& field) {
//       field("MODEL", model, "model directory or .gguf file").Required();
//       field("max-tokens", max_tokens, "stop after this many new tokens").AtLeast(1);
//     }
//   };
//
// A name in capitals is a positional argument, in the order of the list; a list of strings there
// takes all that follow. Everything else is a flag: `--max-tokens 5` or `--max-tokens=5` (`_` reads
// as `-`); a bool is a switch (`--json`, `--json=false`); a list may be given several times. A flag
// that takes a number, a switch or one of a fixed list of words can be preset by METIER_MAX_TOKENS.
// Texts and paths cannot, so that no forgotten variable decides what is read or written. Order of
// precedence: flag, environment, default.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/fields.h"

namespace metier::cli {

enum class FlagKind { kSwitch, kWholeNumber, kNumber, kText, kTextList };

struct Flag {
  std::string name;  // "max-tokens", or "MODEL" for a positional argument
  std::string help;
  FlagKind kind = FlagKind::kText;
  Json fallback;
  recipe::Constraint constraint;

  bool positional() const;
  // "METIER_MAX_TOKENS", or "" where the environment has no say.
  std::string environment_name() const;

  std::function<Status(const Json& value, const std::string& path,
                       const recipe::Constraint& constraint)>
      store;
};

namespace internal {

template <class T>
constexpr FlagKind KindOf() {
  if constexpr (recipe::internal::IsOptional<T>::value) {
    return KindOf<typename T::value_type>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return FlagKind::kSwitch;
  } else if constexpr (std::is_integral_v<T>) {
    return FlagKind::kWholeNumber;
  } else if constexpr (std::is_floating_point_v<T>) {
    return FlagKind::kNumber;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return FlagKind::kText;
  } else {
    static_assert(std::is_same_v<T, std::vector<std::string>>, "no flag can hold this type");
    return FlagKind::kTextList;
  }
}

}  // namespace internal

// A visitor that collects flags. The values visited must outlive it where Parse is called.
class FlagList {
 public:
  FlagList() { flags_.reserve(kMostFlags); }  // references to constraints stay valid

  template <class T>
  recipe::Constraint& operator()(const char* name, T& value, const char* help) {
    Flag flag;
    flag.name = FlagName(name);
    flag.help = help;
    flag.kind = internal::KindOf<T>();
    flag.fallback = recipe::WriteValue(value);
    flag.store = [&value](const Json& json, const std::string& path,
                          const recipe::Constraint& constraint) {
      return recipe::ReadValue(json, path, constraint, value);
    };
    return Add(std::move(flag));
  }

  const std::vector<Flag>& flags() const { return flags_; }

  // Stores what the words and the environment say. `environment` gives a variable's value or
  // nullptr. kInvalidArgument: unknown (with the nearest name), repeated, malformed, missing.
  using Environment = std::function<const char*(const std::string& name)>;
  Status Parse(std::span<const std::string> words, const Environment& environment);

 private:
  static constexpr std::size_t kMostFlags = 128;

  static std::string FlagName(std::string_view name);
  recipe::Constraint& Add(Flag flag);

  std::vector<Flag> flags_;
};

}  // namespace metier::cli

// cli/verb.h - one row of the table of verbs.
//
// A verb is a struct of options with a Visit (cli/flags.h), a function, and a row:
//
//   Result<Outcome> Inspect(const InspectOptions& options, Console& console);
//   constinit const Verb kInspectVerb =
//       MakeVerb<InspectOptions, Inspect>("inspect", "what a file holds", "metier inspect
//       model.gguf");
//
// Rows are constants: nothing runs before main().
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "recipe/fields.h"

namespace metier::cli {

// kWorkFailed: the work was done and its answer is no (exit code 1). What could not be done is an
// Error.
enum class Outcome { kSuccess, kWorkFailed };

struct Verb {
  std::string_view name;         // "inspect", or two words: "data check"
  std::string_view help;         // one line
  std::string_view examples;     // commands, one a line
  std::vector<Flag> (*flags)();  // with their defaults; not to be parsed into
  Json (*schema)();              // of the flags
  Result<Outcome> (*run)(std::span<const std::string> words,
                         const FlagList::Environment& environment, Console& console);
};

namespace internal {

// What every verb takes besides its own flags.
template <recipe::Described Options>
struct WithCommonFlags {
  Options own;
  bool json = false;

  template <class Visitor>
  void Visit(Visitor&& field) {
    own.Visit(field);
    field("json", json, "print the result as one JSON document");
  }
};

template <recipe::Described Options>
std::vector<Flag> FlagsOf() {
  WithCommonFlags<Options> options;
  FlagList list;
  options.Visit(list);
  std::vector<Flag> flags = list.flags();
  for (Flag& flag : flags) flag.store = nullptr;
  return flags;
}

template <recipe::Described Options, Result<Outcome> (*Work)(const Options&, Console&)>
Result<Outcome> RunWith(std::span<const std::string> words,
                        const FlagList::Environment& environment, Console& console) {
  WithCommonFlags<Options> options;
  FlagList list;
  options.Visit(list);
  METIER_TRY(list.Parse(words, environment));
  console.SetFormat(options.json ? Console::Format::kJson : Console::Format::kText);
  return Work(options.own, console);
}

}  // namespace internal

template <recipe::Described Options, Result<Outcome> (*Work)(const Options&, Console&)>
constexpr Verb MakeVerb(std::string_view name, std::string_view help, std::string_view examples) {
  return {name,
          help,
          examples,
          &internal::FlagsOf<Options>,
          &recipe::SchemaOf<internal::WithCommonFlags<Options>>,
          &internal::RunWith<Options, Work>};
}

// The table, in the order of `metier --help` (verbs.cc).
std::span<const Verb* const> Verbs();

}  // namespace metier::cli

// text/template/value.h - what a template computes with: Python's values, as far as templates see
// them.
//
// Values are immutable but for namespaces; copying one copies a pointer at most. Namespaces,
// macros and scopes belong to the interpreter of one rendering and are pointed to; nothing here
// outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/template/marked_text.h"

namespace metier::text::jinja {

class Value;
struct Callable;
struct LoopState;

// "none != undefined": a name that nobody set. Prints as "", and any use but printing, testing and
// looping is an error that says what was missing.
struct Undefined {
  std::shared_ptr<const std::string> why;
};
struct None {};

// list, tuple, and what Python makes lazily: generators (may be read once, have no length) and the
// views of a dict (have a length, no index).
struct Sequence {
  enum class Kind { kList, kTuple, kGenerator, kKeys, kValues, kItems };
  Kind kind = Kind::kList;
  std::vector<Value> items;
  std::int32_t source = kNoSource;  // the message whose JSON this is
  int depth = 1;                    // of nesting
  mutable bool consumed = false;    // generators
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion; keys are unique
  std::int32_t source = kNoSource;
  bool is_message = false;  // messages[source] itself, not something inside it
  int depth = 1;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> items;
};

using TextPtr = std::shared_ptr<const MarkedText>;
using SequencePtr = std::shared_ptr<const Sequence>;
using DictPtr = std::shared_ptr<const Dict>;
using CallablePtr = std::shared_ptr<const Callable>;
using LoopPtr = std::shared_ptr<const LoopState>;

class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(None none) : data_(none) {}                      // NOLINT(google-explicit-constructor)
  Value(bool value) : data_(value) {}                    // NOLINT(google-explicit-constructor)
  Value(std::int64_t value) : data_(value) {}            // NOLINT(google-explicit-constructor)
  Value(double value) : data_(value) {}                  // NOLINT(google-explicit-constructor)
  Value(MarkedText text);                                // NOLINT(google-explicit-constructor)
  Value(SequencePtr value) : data_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Value(DictPtr value) : data_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Value(Namespace* value) : data_(value) {}              // NOLINT(google-explicit-constructor)
  Value(CallablePtr value) : data_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Value(LoopPtr value) : data_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  static Value Missing(std::string why);
  static Value Plain(std::string_view text) { return MarkedText::Plain(text); }

  // The alternative, or null when the value is another kind of thing.
  const Undefined* undefined() const { return std::get_if<Undefined>(&data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data_); }
  const double* real() const { return std::get_if<double>(&data_); }
  const MarkedText* text() const { return Pointee<TextPtr>(); }
  const Sequence* sequence() const { return Pointee<SequencePtr>(); }
  const Dict* dict() const { return Pointee<DictPtr>(); }
  const Callable* callable() const { return Pointee<CallablePtr>(); }
  const LoopState* loop() const { return Pointee<LoopPtr>(); }
  Namespace* name_space() const {
    const auto* found = std::get_if<Namespace*>(&data_);
    return found == nullptr ? nullptr : *found;
  }
  bool is_none() const { return std::holds_alternative<None>(data_); }

  // bool, int and float: True counts as 1.
  bool is_number() const {
    return boolean() != nullptr || integer() != nullptr || real() != nullptr;
  }
  bool is_list_or_tuple() const;

  // Nesting: 0 for scalars.
  int depth() const;

 private:
  template <class Pointer>
  const typename Pointer::element_type* Pointee() const {
    const auto* found = std::get_if<Pointer>(&data_);
    return found == nullptr ? nullptr : found->get();
  }

  std::variant<Undefined, None, bool, std::int64_t, double, TextPtr, SequencePtr, DictPtr,
               Namespace*, CallablePtr, LoopPtr>
      data_;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Macro;  // ast.h
struct Scope;  // interpreter.h

// Anything that can be called: a global function, a method with its object, a macro.
struct Callable {
  enum class Kind { kFunction, kMethod, kMacro };
  Kind kind = Kind::kFunction;
  std::string name;
  Value self;                    // kMethod: the object
  const Macro* macro = nullptr;  // kMacro, `caller` among them
  Scope* scope = nullptr;        // kMacro: where it was defined
};

// The variable `loop`. The interpreter moves `index`.
struct LoopState {
  std::vector<Value> items;
  mutable std::size_t index = 0;
  mutable Value changed;     // what loop.changed() saw last
  std::int64_t nesting = 1;  // loop.depth
  int depth = 1;
};

inline constexpr int kMaxValueDepth = 256;

// kResourceExhausted: nested deeper than kMaxValueDepth. Deeper values could overflow the stack
// when printed, compared or freed.
Result<Value> MakeSequence(Sequence::Kind kind, std::vector<Value> items,
                           std::int32_t source = kNoSource);
Result<Value> MakeDict(std::vector<std::pair<Value, Value>> items);

// JSON as a value whose strings are all marked as coming from `source`.
Result<Value> FromJson(const Json& json, std::int32_t source);
// messages[index]. The role is left unmarked when it is one of the names that templates build
// control tokens from ('<|' + role + '|>'); an unknown role is data like the rest.
Result<Value> MessageFromJson(const Json& message, std::int32_t index);

// "str", "list", "dict", ...: Python's names, for messages.
std::string_view TypeName(const Value& value);

bool Truth(const Value& value);
// A number as a double, for int with float. Exact up to 2^53, which is what templates count to.
double AsDouble(const Value& value);
// Of integers and booleans; nothing for others.
std::optional<std::int64_t> AsInteger(const Value& value);
// ==. Never fails: different types are unequal, numbers compare by value.
bool Equal(const Value& a, const Value& b);
// -1, 0, 1. kInvalidArgument: no order between these types.
Result<int> Order(const Value& a, const Value& b);

// Null when absent.
const Value* FindKey(const Dict& dict, const Value& key);
const Value* FindKey(const Dict& dict, std::string_view key);

// str(value) as printed by {{ }}; repr(value) as printed inside a list. kInvalidArgument: something
// that has no useful text (a generator, a macro, a namespace).
Result<MarkedText> ToText(const Value& value);
Result<MarkedText> Repr(const Value& value);

}  // namespace metier::text::jinja

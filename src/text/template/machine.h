// text/template/machine.h - what filters, tests, methods and operators share: the budget of one
// rendering, arguments, iteration.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "text/template/value.h"

namespace metier::text::jinja {

// One rendering's budget and surroundings. A template can loop and double strings as it likes;
// every node costs a step and every byte that is made costs a byte, so that any template ends.
class Machine {
 public:
  Machine(const Limits& limits, std::tm now) : limits_(limits), now_(now) {}

  // kResourceExhausted: the budget is spent.
  Status Step(std::uint64_t steps = 1);
  Status Charge(std::uint64_t bytes);
  // A text value, paid for. kResourceExhausted also: one text over limits.max_string_bytes.
  Result<Value> Made(MarkedText text);

  const std::tm& now() const { return now_; }
  const Limits& limits() const { return limits_; }

 private:
  const Limits& limits_;
  std::tm now_;
  std::uint64_t steps_ = 0;
  std::uint64_t bytes_ = 0;
};

Error Wrong(std::string what);  // kInvalidArgument

// The arguments in the order of `names`, null where absent. kInvalidArgument: too many, unknown,
// twice, or fewer than `required`.
Result<std::vector<const Value*>> Bind(const Arguments& arguments,
                                       std::initializer_list<std::string_view> names,
                                       std::size_t required = 0);

// The item as a number or text; `what` names it in the error. Absent or None: the fallback.
Result<std::int64_t> IntegerOf(const Value* value, std::int64_t fallback, std::string_view what);
Result<const MarkedText*> TextOf(const Value& value, std::string_view what);

// Everything that `for` would see: items, keys, characters; nothing for undefined. Reads a
// generator up. kInvalidArgument: not iterable.
Result<std::vector<Value>> Items(Machine& machine, const Value& value);
// len(). kInvalidArgument: has none.
Result<std::int64_t> Length(const Value& value);

// The reason that stands in an undefined value.
Error MissingError(const Value& undefined);

}  // namespace metier::text::jinja

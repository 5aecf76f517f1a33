#include "grammar/schema/rules.h"

#include <algorithm>

namespace metier::grammar {
namespace {

template <class T>
void Append(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void Lower(std::optional<std::int64_t>& most, const std::optional<std::int64_t>& other) {
  if (other) most = std::min(most.value_or(*other), *other);
}

void AndStrings(StringRules& rules, const StringRules& other) {
  rules.least = std::max(rules.least, other.least);
  Lower(rules.most, other.most);
  Append(rules.within, other.within);
  Append(rules.outside, other.outside);
  rules.refused.insert(other.refused.begin(), other.refused.end());
  if (!other.allowed) return;
  if (!rules.allowed) {
    rules.allowed = other.allowed;
    return;
  }
  std::erase_if(*rules.allowed,
                [&](const std::string& text) { return !other.allowed->contains(text); });
}

}  // namespace

void Rules::And(const Rules& other) {
  types &= other.types;
  numbers.And(other.numbers);
  AndStrings(strings, other.strings);
  Append(arrays.parts, other.arrays.parts);
  Append(arrays.some, other.arrays.some);
  arrays.least = std::max(arrays.least, other.arrays.least);
  Lower(arrays.most, other.arrays.most);
  arrays.distinct = arrays.distinct || other.arrays.distinct;
  Append(objects.parts, other.objects.parts);
  Append(objects.some, other.objects.some);
  objects.required.insert(other.objects.required.begin(), other.objects.required.end());
  Append(objects.names, other.objects.names);
  objects.dependent.insert(other.objects.dependent.begin(), other.objects.dependent.end());
  objects.least = std::max(objects.least, other.objects.least);
  Lower(objects.most, other.objects.most);
  Append(unknown, other.unknown);
}

}  // namespace metier::grammar

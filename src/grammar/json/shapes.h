// grammar/json/shapes.h - sets of JSON values, in a form in which the next byte of a value can be
// told.
//
// A node is a choice of shapes, which stand for values of one type each; shapes name nodes for what
// is inside of them, so a node may contain itself. Whoever makes shapes keeps the promise that
// every node has a value (height), and then every text that has not failed can be completed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/automata/dfa.h"

namespace metier::grammar {

using NodeId = std::int32_t;
constexpr std::int32_t kUnlimited = -1;

// true, false, null, and numbers: all of their bytes.
struct WordShape {
  Dfa bytes;
};

struct StringShape {
  // Of the bytes between the quotes (Spelling::kJsonString); empty: any text of these many
  // characters, in any spelling.
  Dfa content;
  std::int32_t least = 0;
  std::int32_t most = kUnlimited;
};

// Items of which no two are equal: each value has one spelling here, so values are equal when their
// bytes are.
struct DistinctShape {
  Dfa items;
  // Of each state: how many items can still come of it, kEndless: without end.
  std::vector<std::int64_t> ways;
  std::vector<bool> free;  // as of ObjectShape
  static constexpr std::int64_t kEndless = -1;
};

struct ArrayShape {
  std::vector<NodeId> first;   // of the first items
  NodeId rest = kUnlimited;    // of all others; kUnlimited: there are none
  NodeId some = kUnlimited;    // one of the others must be of this; kUnlimited: none
  std::int32_t distinct = -1;  // its number, where items are these instead of all above
  std::int32_t least = 0;
  std::int32_t most = kUnlimited;
};

// What a member's name makes of its value.
struct MemberClass {
  NodeId value = 0;
  std::int32_t property = -1;  // its number, of a name that is written out; each comes once
};

struct ObjectShape {
  Dfa names;  // of the bytes between a name's quotes
  // Of each of its states: the class of the name that ends there, or -1.
  std::vector<std::int32_t> class_at;
  std::vector<MemberClass> classes;
  std::vector<std::string> properties;  // as they are spelled, by number
  std::vector<NodeId> values;           // by number
  std::vector<bool> required;           // by number
  // A member without a number that must come, behind all others: it has this number for itself,
  // which no name has. -1: none.
  std::int32_t extra = -1;
  // If the first is there, the second must be; what follows from that is among them. Requires that
  // `most` is kUnlimited, where there are any.
  std::vector<std::pair<std::int32_t, std::int32_t>> dependent;
  // Of each state of names: whether any character may come next, and any behind it, of a name that
  // is not written out. None: nowhere.
  std::vector<bool> free;
  // For each state of names: the lowest value of a name without a number that can follow
  // (kNoHeight: there is none), and the numbers that can.
  std::vector<std::uint16_t> others;
  std::vector<std::vector<std::int32_t>> reachable;
  std::int32_t least = 0;
  std::int32_t most = kUnlimited;
};

constexpr std::uint16_t kNoHeight = 0xFFFF;

enum class ShapeKind : std::uint8_t { kWord, kString, kArray, kObject };

struct Alternative {
  ShapeKind kind = ShapeKind::kWord;
  std::int32_t shape = 0;    // among those of its kind
  std::uint16_t height = 0;  // of its lowest value: how many there are inside of one another
};

struct Shapes {
  std::vector<WordShape> words;
  std::vector<StringShape> strings;
  std::vector<ArrayShape> arrays;
  std::vector<DistinctShape> distinct;
  std::vector<ObjectShape> objects;
  std::vector<std::vector<Alternative>> nodes;
  NodeId root = 0;

  // Of each node its lowest alternative's height.
  std::vector<std::uint16_t> heights;
};

// How white space may stand between what belongs to JSON.
struct JsonStyle {
  std::uint8_t most_space = 40;  // bytes of it in one place; 0: none
  std::uint16_t most_nested = 200;
};

}  // namespace metier::grammar

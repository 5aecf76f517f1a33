// base/json_builder.h - puts a document together from a parser's events; shared by the readers of
// JSON and YAML.
//
// nlohmann's own builder looks every key up in the object so far, which is quadratic for ordered
// objects: a vocabulary of 150 k tokens would take minutes. This one appends, and finds duplicates
// by hash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace metier {

// The names of one large object, found by hash. Holds places in the object and no copies: a
// vocabulary has 256 k names, and a node of its own for each costs more than parsing it.
class NameTable {
 public:
  // The name that the object's next entry will have. False: an entry has it already.
  bool Insert(const Json::object_t& object, std::string_view name);

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t entry = kFree;
  };
  static constexpr std::uint32_t kFree = UINT32_MAX;

  // Doubles the slots and puts every entry of the object into them.
  void Grow(const Json::object_t& object);
  Slot& FreeSlot(std::uint32_t hash);

  std::vector<Slot> slots_;  // a power of two, at most half in use
};

class JsonBuilder {
 public:
  // Borrows the limits. Its errors say what, and leave it to the parser to say where.
  explicit JsonBuilder(const Limits& limits) : limits_(limits) {}

  // Starts an empty array or object.  kResourceExhausted: nested deeper than limits.max_json_depth.
  Status Open(Json container);

  // Names the next value of the open object.  kDataCorrupt: the key stands in it already.
  Status Key(std::string key);

  // Whether an object is open and its next value has no name yet.
  bool ExpectsKey() const;

  // Appends a value to the open container, or makes it the document.
  void Add(Json value);

  // Ends the open container and returns it; the caller adds it to what is open then.
  Json Close();

  // The document. Requires every container closed.
  Json Take() &&;

 private:
  struct Frame {
    Json value;
    std::optional<std::string> key;  // of the next value, in an object
    NameTable names;                 // of a large object; small ones are searched
  };

  const Limits& limits_;
  std::vector<Frame> open_;
  Json root_;
};

}  // namespace metier

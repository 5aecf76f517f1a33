// grammar/json/json_machine.h - JSON of given shapes, byte by byte.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/automata/dfa.h"
#include "grammar/json/shapes.h"
#include "grammar/machine.h"

namespace metier::grammar {

class JsonMachine final : public Machine {
 public:
  // Borrows the shapes.
  JsonMachine(const Shapes& shapes, const JsonStyle& style);

  Node root() const override { return shapes_.root; }
  std::uint16_t room() const override { return style_.most_nested; }
  void Begin(Node node, std::uint16_t room, std::vector<Frame>& frames) const override;
  void Read(const Frame& frame, std::uint8_t byte, std::vector<Move>& moves) override;
  Frame Resume(const Frame& frame) const override;
  bool Complete(const Frame& frame) const override;
  bool Ends(const Frame& frame) const override;
  Frame Near(const Frame& frame, std::int32_t bytes) const override;
  std::optional<AnyCharacters> InAnyString(const Frame& frame) const override;

 private:
  // The members of an object that were seen, by number.
  using Seen = std::vector<bool>;

  void ReadWord(Frame frame, std::uint8_t byte, std::vector<Move>& moves) const;
  void ReadString(Frame frame, std::uint8_t byte, std::vector<Move>& moves) const;
  void ReadArray(Frame frame, std::uint8_t byte, std::vector<Move>& moves);
  void ReadObject(Frame frame, std::uint8_t byte, std::vector<Move>& moves);
  void ReadName(Frame frame, std::uint8_t byte, std::vector<Move>& moves);
  // Whether the white space may come; the frame counts it then.
  bool TakeSpace(Frame& frame, std::uint8_t byte) const;
  bool Fits(NodeId node, const Frame& frame) const {
    return shapes_.heights[static_cast<std::size_t>(node)] < frame.room;
  }
  // Of arrays whose items are distinct.
  struct Items {
    std::set<std::string> seen;
    std::string under_way;
    auto operator<=>(const Items&) const = default;
  };
  void BeginDistinct(Frame frame, std::uint8_t byte, std::vector<Move>& moves);
  void ReadDistinct(Frame frame, std::uint8_t byte, std::vector<Move>& moves);
  // The frame behind this byte of an item; nothing: no item goes on so.
  std::optional<Frame> WithByte(Frame frame, std::uint8_t byte);
  bool AnyItemLeft(const ArrayShape& shape, const Frame& frame) const;
  std::int32_t ItemsId(Items items);

  // What comes next in an array, or -1 where nothing can.
  NodeId NextItem(const ArrayShape& shape, const Frame& frame) const;
  // The same of the one item that must come, while it has not.
  NodeId NextOfSome(const ArrayShape& shape, const Frame& frame) const;

  // Of names: whether one of the class may come now; whether any name below a state may.
  bool MayCome(const ObjectShape& shape, const Frame& frame, const MemberClass& member) const;
  bool AnyMayCome(const ObjectShape& shape, const Frame& frame, std::int32_t state) const;
  bool Closes(const ObjectShape& shape, const Frame& frame) const;
  // All that is required but the extra member.
  bool HasAll(const ObjectShape& shape, const Frame& frame) const;
  bool HasExtra(const ObjectShape& shape, const Frame& frame) const;
  bool ExtraMayCome(const ObjectShape& shape, const Frame& frame) const;
  std::int32_t WithSeen(std::int32_t object, std::int32_t seen, std::int32_t property);

  const Shapes& shapes_;
  JsonStyle style_;
  const Dfa& any_;
  std::vector<Seen> seen_;
  std::map<std::pair<std::int32_t, Seen>, std::int32_t> seen_ids_;
  std::vector<Items> items_;  // the first: none
  std::map<Items, std::int32_t> items_ids_;
  // Of each object shape: nothing seen.
  std::vector<std::int32_t> nothing_seen_;
};

// Any characters between the quotes of a JSON string, in any of their spellings: it starts, and
// accepts, between two characters only. Escapes of surrogates come in pairs.
const Dfa& AnyStringContent();
// The same in one spelling (Spelling::kJsonString).
const Dfa& AnyNameContent();
// Of each state of an automaton that has all of AnyNameContent's texts behind `from`: whether it
// stands between two characters of them.
std::vector<bool> FreeStates(const Dfa& dfa, std::int32_t from);

}  // namespace metier::grammar

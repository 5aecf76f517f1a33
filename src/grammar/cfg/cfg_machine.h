// grammar/cfg/cfg_machine.h - texts of a context-free grammar, byte by byte.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "grammar/cfg/cfg.h"
#include "grammar/machine.h"

namespace metier::grammar {

// A frame is a state of a rule (Frame::a), or a repetition with so many texts that must (c) and may
// (d) still come.
class CfgMachine final : public Machine {
 public:
  // Borrows the grammar.
  explicit CfgMachine(const Cfg& cfg);

  Node root() const override { return cfg_.root; }
  std::uint16_t room() const override { return cfg_.most_nested; }
  void Begin(Node node, std::uint16_t room, std::vector<Frame>& frames) const override;
  void Read(const Frame& frame, std::uint8_t byte, std::vector<Move>& moves) override;
  Frame Resume(const Frame& frame) const override { return frame; }
  bool Complete(const Frame& frame) const override;
  bool Ends(const Frame& frame) const override;
  Frame Near(const Frame& frame, std::int32_t bytes) const override;
  std::uint16_t EnoughRoom() const override { return enough_room_; }
  std::optional<AnyCharacters> InAnyString(const Frame& frame) const override;

 private:
  const CfgPart& PartOf(const Frame& frame) const { return PartAt(frame.of); }
  const CfgPart& PartAt(std::int32_t part) const {
    return cfg_.parts[static_cast<std::size_t>(part)];
  }
  // Whether a text of the part can begin so and come to an end in this room.
  bool Fits(std::int32_t part, const Frame& caller, std::uint8_t byte) const {
    const CfgPart& called = PartAt(part);
    return called.first[byte] && called.height < caller.room;
  }

  const Cfg& cfg_;
  std::int32_t most_at_once_ = 1;  // parts that one byte can put on one another
  std::uint16_t enough_room_ = 0;  // for those, and the highest of all heights
};

}  // namespace metier::grammar

// grammar/configurations.h - where a grammar can be after some bytes, as numbers.
//
// A configuration is a set of frames (machine.h), each with the configuration that it goes back to:
// a stack whose ends are shared, so that many ways through a grammar cost as much as their
// differences. Each has one number, and where a byte leads from it is computed once: an automaton
// that is made while it is used.
//
// Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/machine.h"

namespace metier::grammar {

class Configurations {
 public:
  using Id = std::int32_t;
  static constexpr Id kNone = -1;  // no text of the grammar begins so

  struct Element {
    std::int32_t frame = 0;
    Id below = kNone;  // where its completion leads; kNone: the whole is complete then
    bool operator==(const Element&) const = default;
    auto operator<=>(const Element&) const = default;
  };

  // Borrows the machine.
  explicit Configurations(Machine& machine);

  Id start() const { return start_; }
  Id Next(Id from, std::uint8_t byte) {
    const std::unique_ptr<Row>& row = rows_[static_cast<std::size_t>(from)];
    if (row != nullptr && (*row)[byte] != kUnknown) return (*row)[byte];
    return Compute(from, byte);
  }
  // Whether the text may end here.
  bool Complete(Id id) const { return complete_[static_cast<std::size_t>(id)]; }
  // Whether nothing can follow.
  bool Ends(Id id) const { return ElementsOf(id).empty(); }

  std::span<const Element> ElementsOf(Id id) const { return sets_[static_cast<std::size_t>(id)]; }
  const Frame& FrameOf(const Element& element) const {
    return frames_[static_cast<std::size_t>(element.frame)];
  }
  // Of some of a configuration's elements.
  Id Of(std::vector<Element> elements);
  // Of a frame with nothing below it: what comes is complete where the frame is.
  Id Alone(const Frame& frame) { return Of({{FrameId(frame), kNone}}); }

  // One that does the same for the next `bytes` bytes (Machine::Near). Always the same `bytes`.
  Id Near(Id id, std::int32_t bytes);

  std::size_t size() const { return sets_.size(); }

 private:
  using Row = std::array<Id, 256>;
  static constexpr Id kUnknown = -2;

  struct FrameHash {
    std::size_t operator()(const Frame& frame) const;
  };
  struct SetHash {
    std::size_t operator()(const std::vector<Element>& elements) const;
  };
  struct Found {  // a configuration under way
    std::vector<Element> elements;
    bool complete = false;
  };
  struct Step {  // a byte under way
    std::uint8_t byte = 0;
    Found found;
    // What will have to read the byte, by its room, and what it comes on top of.
    std::map<std::pair<Machine::Node, std::uint16_t>, Found> inside;
    std::vector<Id> resumed;  // what something was completed on top of: once is enough
  };

  std::int32_t FrameId(const Frame& frame);
  Id Intern(Found found);
  Id Compute(Id from, std::uint8_t byte);
  // Adds what a frame over `below` becomes when it reads the byte.
  void Read(const Frame& frame, Id below, Step& step);
  // Adds a frame, and where it is complete what goes on below it.
  void Arrive(const Frame& frame, Id below, Step& step);

  Machine& machine_;
  std::vector<Frame> frames_;
  std::unordered_map<Frame, std::int32_t, FrameHash> frame_ids_;
  // Of elements; a completed whole is told by `complete_` alone.
  std::vector<std::vector<Element>> sets_;
  std::vector<bool> complete_;
  std::unordered_map<std::vector<Element>, Id, SetHash> set_ids_[2];  // by completeness
  std::vector<std::unique_ptr<Row>> rows_;
  std::unordered_map<Id, Id> near_;
  Id start_ = kNone;
};

}  // namespace metier::grammar

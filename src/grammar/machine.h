// grammar/machine.h - what a grammar does with bytes: frames on a stack.
//
// A frame is a place in one construct (an object behind its third key, a number behind its sign).
// It reads a byte and becomes another frame, or puts what stands inside of it on the stack, which
// then reads the byte; what is complete leaves the stack, and the frame below goes on. A grammar
// that leaves several ways open has several stacks at once (configurations.h).
//
// Frames are values: all of what they know is in them, so two equal frames go on alike.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace metier::grammar {

struct Frame {
  std::uint8_t kind = 0;   // of a construct, as its machine numbers them
  std::uint8_t phase = 0;  // and where in it
  std::uint8_t gap = 0;    // bytes of white space that may still come here
  std::uint16_t room = 0;  // constructs that may be put on top, one on the other
  std::int32_t of = 0;     // which construct of this kind
  // What the machine counts or remembers.
  std::int32_t a = 0;
  std::int32_t b = 0;
  std::int32_t c = 0;
  std::int32_t d = 0;
  bool operator==(const Frame&) const = default;
};

class Machine {
 public:
  using Node = std::int32_t;  // a construct that can stand inside of others
  static constexpr Node kNoNode = -1;

  struct Move {
    Frame frame;            // what becomes of the frame
    Node inside = kNoNode;  // what comes on top of it with one less room, and reads the byte
  };
  // Where a construct reads its first byte inside of another one, that one's number is higher.

  virtual ~Machine() = default;

  virtual Node root() const = 0;
  // The frames that a construct begins as, where `room` is left above it.
  virtual void Begin(Node node, std::uint16_t room, std::vector<Frame>& frames) const = 0;
  // How much there is at the bottom.
  virtual std::uint16_t room() const = 0;
  // None: the byte cannot come here. A machine may remember what it meets: one thread at a time.
  virtual void Read(const Frame& frame, std::uint8_t byte, std::vector<Move>& moves) = 0;
  // What it is when what was on top of it is complete.
  virtual Frame Resume(const Frame& frame) const = 0;
  // Whether it may be over here; whether it must be, because it reads nothing more.
  virtual bool Complete(const Frame& frame) const = 0;
  virtual bool Ends(const Frame& frame) const = 0;

  // A frame that does the same for the next `bytes` bytes: counts that they cannot use up are made
  // equal. So there are few kinds of frames, however far the counts go.
  virtual Frame Near(const Frame& frame, std::int32_t bytes) const = 0;

  // Where it is not 0: what a frame lets come does not depend on its room, as long as so much is
  // left. Then what stays on top of a frame is worked out once, whatever is below it
  // (token_masks.h).
  virtual std::uint16_t EnoughRoom() const { return 0; }

  // The inside of a JSON string in which any character may come next. Where most of a vocabulary
  // is allowed it need not be asked token by token (token_masks.h).
  struct AnyCharacters {
    std::int32_t most = -1;     // that many; negative: any number
    bool one_spelling = false;  // each in Spelling::kJsonString alone
  };
  virtual std::optional<AnyCharacters> InAnyString(const Frame& frame) const = 0;
};

}  // namespace metier::grammar

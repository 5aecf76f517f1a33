#include "grammar/json/json_machine.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "grammar/automata/language.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {
namespace {

enum StringPhase : std::uint8_t { kBeforeQuote, kInString, kStringDone };
enum ArrayPhase : std::uint8_t {
  kBeforeBracket,
  kFirstItem,  // or the end
  kNextItem,   // behind a comma
  kInItem,
  kInDistinct,
  kBehindItem,
  kArrayDone,
};
enum ObjectPhase : std::uint8_t {
  kBeforeBrace,
  kFirstName,  // or the end
  kNextName,   // behind a comma
  kInName,
  kBehindName,
  kBeforeValue,
  kInValue,
  kBehindValue,
  kObjectDone,
};

std::uint8_t KindOf(ShapeKind kind) { return static_cast<std::uint8_t>(kind); }

template <class Shape>
const Shape& ShapeOf(const std::vector<Shape>& shapes, const Frame& frame) {
  return shapes[static_cast<std::size_t>(frame.of)];
}

void CountDown(std::int32_t& count) {
  if (count > 0) --count;
}

}  // namespace

const Dfa& AnyStringContent() {
  static const Dfa any = [] {
    const Result<Pattern> characters = ParsePattern(
        "(?:[^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrt]|\\\\u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|"
        "[dD][0-7][0-9a-fA-F]{2}|[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}))*");
    METIER_CHECK(characters.ok(), "the pattern of strings is one");
    Result<Dfa> dfa = LanguageOf(*characters, Match::kWhole, Spelling::kText);
    METIER_CHECK(dfa.ok() && dfa->Accepts(Dfa::kStart), "and has an automaton");
    return std::move(*dfa);
  }();
  return any;
}

const Dfa& AnyNameContent() {
  static const Dfa any = [] {
    Result<Dfa> dfa = LanguageOf(Pattern::Repeat(Pattern::Set(CodePoints::All()), 0), Match::kWhole,
                                 Spelling::kJsonString);
    METIER_CHECK(dfa.ok() && dfa->Accepts(Dfa::kStart), "any text has an automaton");
    return std::move(*dfa);
  }();
  return any;
}

// Behind the same bytes it is in one state, and AnyNameContent in another.
std::vector<bool> FreeStates(const Dfa& dfa, std::int32_t from) {
  const Dfa& any = AnyNameContent();
  std::vector<std::int32_t> beside(static_cast<std::size_t>(dfa.states()), Dfa::kNone);
  std::vector<std::int32_t> open = {from};
  beside[static_cast<std::size_t>(from)] = any.start();
  while (!open.empty()) {
    const std::int32_t state = open.back();
    open.pop_back();
    for (int byte = 0; byte < 256; ++byte) {
      const auto here = static_cast<std::uint8_t>(byte);
      const std::int32_t next = dfa.Next(state, here);
      const std::int32_t own = any.Next(beside[static_cast<std::size_t>(state)], here);
      if (next == Dfa::kNone || own == Dfa::kNone) continue;
      if (beside[static_cast<std::size_t>(next)] != Dfa::kNone) continue;
      beside[static_cast<std::size_t>(next)] = own;
      open.push_back(next);
    }
  }
  std::vector<bool> free;
  for (const std::int32_t state : beside) free.push_back(state == Dfa::kStart);
  return free;
}

JsonMachine::JsonMachine(const Shapes& shapes, const JsonStyle& style)
    : shapes_(shapes), style_(style), any_(AnyStringContent()) {
  ItemsId({});
  for (std::size_t i = 0; i < shapes.objects.size(); ++i) {
    const Seen nothing(shapes.objects[i].values.size());
    nothing_seen_.push_back(static_cast<std::int32_t>(seen_.size()));
    seen_ids_.emplace(std::pair(static_cast<std::int32_t>(i), nothing), nothing_seen_.back());
    seen_.push_back(nothing);
  }
}

void JsonMachine::Begin(Node node, std::uint16_t room, std::vector<Frame>& frames) const {
  for (const Alternative& one : shapes_.nodes[static_cast<std::size_t>(node)]) {
    if (one.height >= room) continue;
    Frame frame;
    frame.kind = KindOf(one.kind);
    frame.gap = style_.most_space;
    frame.room = room;
    frame.of = one.shape;
    if (one.kind == ShapeKind::kString) {
      const StringShape& shape = ShapeOf(shapes_.strings, frame);
      frame.c = shape.least;
      frame.d = shape.most;
    }
    if (one.kind == ShapeKind::kArray) {
      const ArrayShape& shape = ShapeOf(shapes_.arrays, frame);
      frame.c = shape.least;
      frame.d = shape.most;
    }
    if (one.kind == ShapeKind::kObject) {
      const ObjectShape& shape = ShapeOf(shapes_.objects, frame);
      frame.b = nothing_seen_[static_cast<std::size_t>(one.shape)];
      frame.c = shape.least;
      const auto required = static_cast<std::int32_t>(std::ranges::count(shape.required, true));
      frame.d = shape.most == kUnlimited ? kUnlimited : shape.most - required;
    }
    frames.push_back(frame);
  }
}

void JsonMachine::Read(const Frame& frame, std::uint8_t byte, std::vector<Move>& moves) {
  switch (static_cast<ShapeKind>(frame.kind)) {
    case ShapeKind::kWord: return ReadWord(frame, byte, moves);
    case ShapeKind::kString: return ReadString(frame, byte, moves);
    case ShapeKind::kArray: return ReadArray(frame, byte, moves);
    case ShapeKind::kObject: return ReadObject(frame, byte, moves);
  }
}

void JsonMachine::ReadWord(Frame frame, std::uint8_t byte, std::vector<Move>& moves) const {
  frame.a = ShapeOf(shapes_.words, frame).bytes.Next(frame.a, byte);
  if (frame.a != Dfa::kNone) moves.push_back({frame});
}

void JsonMachine::ReadString(Frame frame, std::uint8_t byte, std::vector<Move>& moves) const {
  const StringShape& shape = ShapeOf(shapes_.strings, frame);
  if (frame.phase == kBeforeQuote) {
    if (byte != '"') return;
    frame.phase = kInString;
    moves.push_back({frame});
    return;
  }
  const bool any = shape.content.empty();
  if (byte == '"' && (any ? frame.a == Dfa::kStart : shape.content.Accepts(frame.a))) {
    if (any && frame.c > 0) return;
    frame.phase = kStringDone;
    frame.a = frame.c = frame.d = 0;
    moves.push_back({frame});
    return;
  }
  const std::int32_t next = (any ? any_ : shape.content).Next(frame.a, byte);
  if (next == Dfa::kNone) return;
  if (any && frame.a == Dfa::kStart) {  // a character begins
    if (frame.d == 0) return;
    CountDown(frame.c);
    CountDown(frame.d);
  }
  frame.a = next;
  moves.push_back({frame});
}

bool JsonMachine::TakeSpace(Frame& frame, std::uint8_t byte) const {
  const bool space = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
  if (!space || frame.gap == 0) return false;
  --frame.gap;
  return true;
}

NodeId JsonMachine::NextItem(const ArrayShape& shape, const Frame& frame) const {
  if (frame.d == 0) return kNoNode;
  const auto index = static_cast<std::size_t>(frame.a);
  const NodeId node = index < shape.first.size() ? shape.first[index] : shape.rest;
  if (node == kUnlimited || !Fits(node, frame)) return kNoNode;
  // The one that must come needs a place.
  const bool waits = shape.some >= 0 && frame.b == 0 && index >= shape.first.size();
  return waits && (frame.d == 1 || !Fits(shape.some, frame)) ? kNoNode : node;
}

NodeId JsonMachine::NextOfSome(const ArrayShape& shape, const Frame& frame) const {
  const bool behind = static_cast<std::size_t>(frame.a) >= shape.first.size();
  const bool waits = shape.some >= 0 && frame.b == 0 && frame.d != 0 && behind;
  return waits && Fits(shape.some, frame) ? shape.some : kNoNode;
}

void JsonMachine::ReadArray(Frame frame, std::uint8_t byte, std::vector<Move>& moves) {
  const ArrayShape& shape = ShapeOf(shapes_.arrays, frame);
  if (frame.phase == kBeforeBracket) {
    if (byte != '[') return;
    frame.phase = kFirstItem;
    moves.push_back({frame});
    return;
  }
  if (frame.phase == kInDistinct) return ReadDistinct(frame, byte, moves);
  if (TakeSpace(frame, byte)) {
    moves.push_back({frame});
    return;
  }
  frame.gap = style_.most_space;
  if (byte == ']' && frame.phase != kNextItem) {
    if (frame.c > 0 || (shape.some >= 0 && frame.b == 0)) return;
    frame.phase = kArrayDone;
    frame.a = frame.b = frame.d = 0;
    moves.push_back({frame});
    return;
  }
  const bool distinct = shape.distinct >= 0;
  if (distinct && !AnyItemLeft(shape, frame)) return;
  const NodeId item = distinct ? kNoNode : NextItem(shape, frame);
  const NodeId some = distinct ? kNoNode : NextOfSome(shape, frame);
  if (!distinct && item == kNoNode && some == kNoNode) return;
  if (frame.phase == kBehindItem) {
    if (byte != ',') return;
    frame.phase = kNextItem;
    moves.push_back({frame});
    return;
  }
  if (distinct) return BeginDistinct(frame, byte, moves);
  frame.phase = kInItem;
  frame.a = std::min(frame.a + 1, static_cast<std::int32_t>(shape.first.size()));
  CountDown(frame.c);
  CountDown(frame.d);
  if (item != kNoNode) moves.push_back({frame, item});
  if (some == kNoNode) return;
  frame.b = 1;
  moves.push_back({frame, some});
}

std::int32_t JsonMachine::ItemsId(Items items) {
  const auto next = static_cast<std::int32_t>(items_.size());
  const auto [found, fresh] = items_ids_.try_emplace(std::move(items), next);
  if (fresh) items_.push_back(found->first);
  return found->second;
}

bool JsonMachine::AnyItemLeft(const ArrayShape& shape, const Frame& frame) const {
  if (frame.d == 0) return false;
  const DistinctShape& distinct = shapes_.distinct[static_cast<std::size_t>(shape.distinct)];
  const std::int64_t ways = distinct.ways[Dfa::kStart];
  const auto seen = items_[static_cast<std::size_t>(frame.b)].seen.size();
  return ways == DistinctShape::kEndless || ways > static_cast<std::int64_t>(seen);
}

std::optional<Frame> JsonMachine::WithByte(Frame frame, std::uint8_t byte) {
  const ArrayShape& shape = ShapeOf(shapes_.arrays, frame);
  const DistinctShape& distinct = shapes_.distinct[static_cast<std::size_t>(shape.distinct)];
  frame.a = distinct.items.Next(frame.a, byte);
  if (frame.a == Dfa::kNone) return std::nullopt;
  Items items = items_[static_cast<std::size_t>(frame.b)];
  items.under_way += static_cast<char>(byte);
  // Items that were seen and begin so went through this state too.
  std::int64_t taken = 0;
  for (auto seen = items.seen.lower_bound(items.under_way);
       seen != items.seen.end() && seen->starts_with(items.under_way); ++seen)
    ++taken;
  const std::int64_t ways = distinct.ways[static_cast<std::size_t>(frame.a)];
  if (ways != DistinctShape::kEndless && ways <= taken) return std::nullopt;
  frame.b = ItemsId(std::move(items));
  return frame;
}

void JsonMachine::BeginDistinct(Frame frame, std::uint8_t byte, std::vector<Move>& moves) {
  frame.phase = kInDistinct;
  frame.a = Dfa::kStart;
  CountDown(frame.c);
  CountDown(frame.d);
  if (const std::optional<Frame> next = WithByte(frame, byte)) moves.push_back({*next});
}

// More of the item, or what comes behind it.
void JsonMachine::ReadDistinct(Frame frame, std::uint8_t byte, std::vector<Move>& moves) {
  if (const std::optional<Frame> next = WithByte(frame, byte)) moves.push_back({*next});
  const ArrayShape& shape = ShapeOf(shapes_.arrays, frame);
  const DistinctShape& distinct = shapes_.distinct[static_cast<std::size_t>(shape.distinct)];
  Items items = items_[static_cast<std::size_t>(frame.b)];
  if (!distinct.items.Accepts(frame.a) || items.seen.contains(items.under_way)) return;
  items.seen.insert(std::exchange(items.under_way, {}));
  frame.phase = kBehindItem;
  frame.a = 0;
  frame.b = ItemsId(std::move(items));
  ReadArray(frame, byte, moves);
}

bool JsonMachine::MayCome(const ObjectShape& shape, const Frame& frame,
                          const MemberClass& member) const {
  if (!Fits(member.value, frame) || HasExtra(shape, frame)) return false;
  if (member.property < 0) return frame.d != 0;
  const auto property = static_cast<std::size_t>(member.property);
  if (seen_[static_cast<std::size_t>(frame.b)][property]) return false;
  if (frame.d == 0 && !shape.required[property]) return false;
  return std::ranges::all_of(shape.dependent, [&](const auto& pair) {
    return pair.first != member.property ||
           Fits(shape.values[static_cast<std::size_t>(pair.second)], frame);
  });
}

bool JsonMachine::AnyMayCome(const ObjectShape& shape, const Frame& frame,
                             std::int32_t state) const {
  if (state == Dfa::kNone) return false;
  const auto at = static_cast<std::size_t>(state);
  if (HasExtra(shape, frame)) return false;
  if (shape.others[at] < frame.room && (frame.d != 0 || ExtraMayCome(shape, frame))) return true;
  return std::ranges::any_of(shape.reachable[at], [&](std::int32_t property) {
    const NodeId value = shape.values[static_cast<std::size_t>(property)];
    return MayCome(shape, frame, {value, property});
  });
}

bool JsonMachine::Closes(const ObjectShape& shape, const Frame& frame) const {
  return frame.c <= 0 && (shape.extra < 0 || HasExtra(shape, frame)) && HasAll(shape, frame);
}

bool JsonMachine::HasExtra(const ObjectShape& shape, const Frame& frame) const {
  return shape.extra >= 0 &&
         seen_[static_cast<std::size_t>(frame.b)][static_cast<std::size_t>(shape.extra)];
}

// Last of all: a later member of the same name would take its place.
bool JsonMachine::ExtraMayCome(const ObjectShape& shape, const Frame& frame) const {
  return shape.extra >= 0 && !HasExtra(shape, frame) && frame.c <= 1 && HasAll(shape, frame) &&
         Fits(shape.values[static_cast<std::size_t>(shape.extra)], frame);
}

bool JsonMachine::HasAll(const ObjectShape& shape, const Frame& frame) const {
  const Seen& seen = seen_[static_cast<std::size_t>(frame.b)];
  for (std::size_t i = 0; i < shape.required.size(); ++i)
    if (shape.required[i] && !seen[i] && static_cast<std::int32_t>(i) != shape.extra) return false;
  return std::ranges::all_of(shape.dependent, [&](const auto& pair) {
    return !seen[static_cast<std::size_t>(pair.first)] ||
           seen[static_cast<std::size_t>(pair.second)];
  });
}

std::int32_t JsonMachine::WithSeen(std::int32_t object, std::int32_t seen, std::int32_t property) {
  Seen more = seen_[static_cast<std::size_t>(seen)];
  more[static_cast<std::size_t>(property)] = true;
  const auto next = static_cast<std::int32_t>(seen_.size());
  const auto [found, fresh] = seen_ids_.try_emplace({object, std::move(more)}, next);
  if (fresh) seen_.push_back(found->first.second);
  return found->second;
}

void JsonMachine::ReadName(Frame frame, std::uint8_t byte, std::vector<Move>& moves) {
  const ObjectShape& shape = ShapeOf(shapes_.objects, frame);
  const std::int32_t of_class = shape.class_at[static_cast<std::size_t>(frame.a)];
  if (byte != '"' || of_class < 0) {  // a quote behind a backslash is one of the name
    frame.a = shape.names.Next(frame.a, byte);
    if (AnyMayCome(shape, frame, frame.a)) moves.push_back({frame});
    return;
  }
  const MemberClass& member = shape.classes[static_cast<std::size_t>(of_class)];
  if (member.property < 0 && ExtraMayCome(shape, frame)) {
    Frame last = frame;
    CountDown(last.c);
    last.b = WithSeen(frame.of, frame.b, shape.extra);
    last.phase = kBehindName;
    last.a = shape.values[static_cast<std::size_t>(shape.extra)];
    moves.push_back({last});
  }
  if (!MayCome(shape, frame, member)) return;
  CountDown(frame.c);
  if (member.property < 0 || !shape.required[static_cast<std::size_t>(member.property)])
    CountDown(frame.d);
  if (member.property >= 0) frame.b = WithSeen(frame.of, frame.b, member.property);
  frame.phase = kBehindName;
  frame.a = member.value;
  moves.push_back({frame});
}

void JsonMachine::ReadObject(Frame frame, std::uint8_t byte, std::vector<Move>& moves) {
  const ObjectShape& shape = ShapeOf(shapes_.objects, frame);
  if (frame.phase == kInName) return ReadName(frame, byte, moves);
  if (frame.phase != kBeforeBrace && TakeSpace(frame, byte)) {
    moves.push_back({frame});
    return;
  }
  frame.gap = style_.most_space;
  const auto becomes = [&](std::uint8_t phase) {
    frame.phase = phase;
    moves.push_back({frame});
  };
  const auto ends = [&] {
    if (!Closes(shape, frame)) return;
    frame.a = frame.b = frame.d = 0;
    becomes(kObjectDone);
  };
  switch (frame.phase) {
    case kBeforeBrace:
      if (byte == '{') becomes(kFirstName);
      return;
    case kFirstName:
    case kNextName:
      if (byte == '}' && frame.phase == kFirstName) return ends();
      if (byte != '"' || !AnyMayCome(shape, frame, shape.names.start())) return;
      frame.a = Dfa::kStart;
      return becomes(kInName);
    case kBehindName:
      if (byte == ':') becomes(kBeforeValue);
      return;
    case kBeforeValue: {
      const NodeId value = frame.a;
      frame.phase = kInValue;
      frame.a = 0;
      moves.push_back({frame, value});
      return;
    }
    case kBehindValue:
      if (byte == '}') return ends();
      if (byte == ',' && AnyMayCome(shape, frame, shape.names.start())) becomes(kNextName);
      return;
    default: return;
  }
}

Frame JsonMachine::Resume(const Frame& frame) const {
  Frame next = frame;
  next.phase = static_cast<ShapeKind>(frame.kind) == ShapeKind::kArray ? std::uint8_t{kBehindItem}
                                                                       : std::uint8_t{kBehindValue};
  return next;
}

bool JsonMachine::Complete(const Frame& frame) const {
  switch (static_cast<ShapeKind>(frame.kind)) {
    case ShapeKind::kWord: return ShapeOf(shapes_.words, frame).bytes.Accepts(frame.a);
    case ShapeKind::kString: return frame.phase == kStringDone;
    case ShapeKind::kArray: return frame.phase == kArrayDone;
    case ShapeKind::kObject: break;
  }
  return frame.phase == kObjectDone;
}

bool JsonMachine::Ends(const Frame& frame) const {
  if (static_cast<ShapeKind>(frame.kind) == ShapeKind::kWord)
    return ShapeOf(shapes_.words, frame).bytes.Ends(frame.a);
  return Complete(frame);
}

Frame JsonMachine::Near(const Frame& frame, std::int32_t bytes) const {
  Frame near = frame;
  near.c = std::min(near.c, bytes);
  if (near.d >= bytes) near.d = kUnlimited;
  return near;
}

std::optional<Machine::AnyCharacters> JsonMachine::InAnyString(const Frame& frame) const {
  if (static_cast<ShapeKind>(frame.kind) == ShapeKind::kObject && frame.phase == kInName) {
    const ObjectShape& shape = ShapeOf(shapes_.objects, frame);
    const auto state = static_cast<std::size_t>(frame.a);
    if (shape.free.empty() || !shape.free[state]) return std::nullopt;
    const bool other = frame.d != 0 && !HasExtra(shape, frame);
    if (!other || shape.others[state] >= frame.room) return std::nullopt;
    return AnyCharacters{kUnlimited, true};
  }
  if (static_cast<ShapeKind>(frame.kind) == ShapeKind::kArray && frame.phase == kInDistinct) {
    const ArrayShape& shape = ShapeOf(shapes_.arrays, frame);
    const DistinctShape& distinct = shapes_.distinct[static_cast<std::size_t>(shape.distinct)];
    if (distinct.free.empty() || !distinct.free[static_cast<std::size_t>(frame.a)])
      return std::nullopt;
    return AnyCharacters{kUnlimited, true};
  }
  if (static_cast<ShapeKind>(frame.kind) != ShapeKind::kString || frame.phase != kInString)
    return std::nullopt;
  if (!ShapeOf(shapes_.strings, frame).content.empty() || frame.a != Dfa::kStart)
    return std::nullopt;
  return AnyCharacters{frame.d, false};
}

}  // namespace metier::grammar

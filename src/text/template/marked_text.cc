#include "text/template/marked_text.h"

#include <algorithm>
#include <utility>

namespace metier::text::jinja {

MarkedText MarkedText::From(std::string_view text, std::int32_t source) {
  MarkedText result = Plain(text);
  if (source != kNoSource) result.MarkFrom(0, source, MarkKind::kData);
  return result;
}

void MarkedText::Append(const MarkedText& text) {
  const auto shift = static_cast<std::uint32_t>(bytes.size());
  bytes.append(text.bytes);
  for (Mark mark : text.marks) {
    mark.begin += shift;
    mark.end += shift;
    Mark* last = marks.empty() ? nullptr : &marks.back();
    if (last != nullptr && mark.kind == MarkKind::kData && last->kind == MarkKind::kData &&
        last->source == mark.source && last->end == mark.begin) {
      last->end = mark.end;
    } else {
      marks.push_back(mark);
    }
  }
}

void MarkedText::MarkFrom(std::size_t begin, std::int32_t source, MarkKind kind) {
  if (kind == MarkKind::kData && begin == bytes.size()) return;
  marks.push_back(
      {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(bytes.size()), source, kind});
}

MarkedText MarkedText::Slice(std::size_t begin, std::size_t end) const {
  MarkedText result{bytes.substr(begin, end - begin), {}, markup};
  for (const Mark& mark : marks) {
    const std::size_t from = std::max<std::size_t>(mark.begin, begin);
    const std::size_t to = std::min<std::size_t>(mark.end, end);
    if (from >= to) continue;
    result.marks.push_back({static_cast<std::uint32_t>(from - begin),
                            static_cast<std::uint32_t>(to - begin), mark.source, mark.kind});
  }
  return result;
}

MarkedText MarkedText::Rewritten(std::string changed) const {
  MarkedText result{std::move(changed), {}, markup};
  if (result.bytes.size() == bytes.size()) {
    result.marks = marks;
    return result;
  }
  for (const Mark& mark : marks) {
    if (mark.kind != MarkKind::kData) continue;
    result.MarkFrom(0, mark.source, MarkKind::kData);
    break;
  }
  return result;
}

}  // namespace metier::text::jinja

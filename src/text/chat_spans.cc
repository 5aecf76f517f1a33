// Where the assistant's words lie in a rendered conversation: the rule stands in chat_template.h.
//
// The interpreter's marks say which bytes came from which message and which loop iteration printed
// them; renderings of the conversation's beginnings say what serving would have fed the model.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "text/template/python_text.h"
#include "text/template/render.h"

namespace metier::text::jinja {
namespace {

std::size_t CommonPrefix(std::string_view a, std::string_view b) {
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

class SpanFinder {
 public:
  SpanFinder(const ParsedTemplate& parsed, const RenderRequest& request, const MarkedText& full)
      : parsed_(parsed), request_(request), full_(full), text_(full.bytes) {}

  Result<std::vector<AssistantSpan>> ByRule() const {
    std::vector<AssistantSpan> spans;
    for (std::size_t i = 0; i < request_.messages.size(); ++i) {
      if (!IsAssistant(i)) continue;
      const std::size_t floor = spans.empty() ? 0 : spans.back().end;
      METIER_ASSIGN(const AssistantSpan span, Locate(i, floor));
      spans.push_back(span);
    }
    return spans;
  }

  Result<std::vector<AssistantSpan>> ByBlocks() const {
    std::vector<AssistantSpan> spans;
    for (const Mark& mark : full_.marks) {
      if (mark.kind != MarkKind::kGeneration || mark.begin == mark.end) continue;
      AssistantSpan span;
      span.begin = mark.begin;
      span.end = mark.end;
      spans.push_back(span);
    }
    std::sort(spans.begin(), spans.end(), [](const AssistantSpan& a, const AssistantSpan& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    std::vector<AssistantSpan> outer;  // a block inside another adds nothing
    for (AssistantSpan& span : spans) {
      if (!outer.empty() && span.begin < outer.back().end) continue;
      span.message = MessageAt(span);
      span.as_served = ServedBefore(span.message) == span.begin;
      span.as_last = IsAsLast(span);
      // Whoever wrote the block decided what the model must say, its end included.
      span.closed = true;
      outer.push_back(span);
    }
    return outer;
  }

 private:
  bool IsAssistant(std::size_t i) const {
    const Value* role = FindKey(*request_.messages[i].dict(), std::string_view("role"));
    return role != nullptr && role->text() != nullptr && role->text()->bytes == "assistant";
  }

  // The first `count` messages; nothing when the template refuses such a conversation.
  std::optional<std::string> Beginning(std::size_t count, bool add_generation_prompt) const {
    auto rendered = RenderBeginning(parsed_, request_, count, add_generation_prompt);
    if (!rendered.ok()) return std::nullopt;
    return std::move(rendered->bytes);
  }

  // Where serving's prompt for message i ends, if the text begins with that prompt.
  std::optional<std::size_t> ServedBefore(std::size_t i) const {
    const auto prompt = Beginning(i, true);
    if (!prompt || !text_.starts_with(*prompt)) return std::nullopt;
    return prompt->size();
  }

  bool IsAsLast(const AssistantSpan& span) const {
    const auto alone = Beginning(span.message + 1, false);
    return alone && std::string_view(*alone).substr(0, span.end) == text_.substr(0, span.end) &&
           alone->size() >= span.end;
  }

  // The first mark of message i's data from `floor` on.
  std::optional<std::size_t> FirstData(std::size_t i, std::size_t floor) const {
    std::optional<std::size_t> first;
    for (const Mark& mark : full_.marks) {
      if (!IsDataOf(mark, i) || mark.begin < floor) continue;
      first = std::min<std::size_t>(first.value_or(mark.begin), mark.begin);
    }
    return first;
  }

  static bool IsDataOf(const Mark& mark, std::size_t i) {
    return mark.kind == MarkKind::kData && mark.source == static_cast<std::int32_t>(i);
  }

  // The text of the generation prompt alone.
  std::string_view PromptText(const std::string& with, const std::string& without) const {
    if (!std::string_view(with).starts_with(without)) return "";
    return std::string_view(with).substr(without.size());
  }

  std::optional<std::size_t> Begin(std::size_t i, std::size_t floor) const {
    const auto first = FirstData(i, floor);
    if (!first) return std::nullopt;
    const auto with = Beginning(i, true);
    const auto without = Beginning(i, false);
    if (!with || !without) return first;
    const std::string_view prompt = PromptText(*with, *without);
    if (prompt.empty() || prompt.size() > *first) return first;
    const std::size_t found = text_.rfind(prompt, *first - prompt.size());
    if (found == std::string_view::npos || found < floor) return first;
    return found + prompt.size();
  }

  // Where the template's text for message i ends.
  std::size_t BlockEnd(std::size_t i, std::size_t begin) const {
    const std::size_t anchor = FirstData(i, begin).value_or(begin);
    std::size_t size = 0;
    std::size_t end = text_.size();
    for (const Mark& mark : full_.marks) {
      if (mark.kind != MarkKind::kIteration || mark.source != static_cast<std::int32_t>(i))
        continue;
      if (mark.begin > anchor || mark.end < anchor || mark.end - mark.begin < size) continue;
      size = mark.end - mark.begin;
      end = mark.end;
    }
    // Without a loop that shows it, or when the generation prompt follows inside the same
    // iteration: as far as the conversation that ends here reads the same.
    const bool last = i + 1 == request_.messages.size();
    if (size != 0 && !(last && request_.add_generation_prompt)) return end;
    const auto alone = Beginning(i + 1, false);
    return alone ? std::min(end, CommonPrefix(*alone, text_)) : end;
  }

  Result<AssistantSpan> Locate(std::size_t i, std::size_t floor) const {
    AssistantSpan span;
    span.message = i;
    auto begin = ServedBefore(i);
    span.as_served = begin && *begin >= floor;
    if (!span.as_served) begin = Begin(i, floor);
    if (!begin) {
      return Error(
          ErrorCode::kUnsupported,
          fmt::format("message {} (assistant) leaves no text of its own in the rendering, so "
                      "there is nothing to train on; expected its content or tool calls",
                      i));
    }
    span.begin = *begin;
    const std::size_t block = std::max(BlockEnd(i, span.begin), span.begin);
    std::size_t content = span.begin;
    for (const Mark& mark : full_.marks) {
      if (IsDataOf(mark, i) && mark.end > content && mark.end <= block) content = mark.end;
    }
    const std::string_view after = text_.substr(content, block - content);
    const std::string& eos = request_.eos;
    const std::size_t eos_at = eos.empty() ? std::string_view::npos : after.find(eos);
    const std::size_t marker = eos_at != std::string_view::npos
                                   ? eos_at + eos.size()
                                   : Strip(after, StripEnds::kRight).end;
    span.closed = marker > 0;
    span.end = content + marker;
    span.as_last = IsAsLast(span);
    return span;
  }

  // The message that a {% generation %} block belongs to: the one whose data it prints, else whose
  // iteration it stands in.
  std::size_t MessageAt(const TextSpan& span) const {
    for (const MarkKind kind : {MarkKind::kData, MarkKind::kIteration}) {
      for (const Mark& mark : full_.marks) {
        if (mark.kind != kind || mark.source < 0 ||
            !IsAssistant(static_cast<std::size_t>(mark.source)))
          continue;
        if (mark.begin < span.end && mark.end > span.begin)
          return static_cast<std::size_t>(mark.source);
      }
    }
    return 0;
  }

  const ParsedTemplate& parsed_;
  const RenderRequest& request_;
  const MarkedText& full_;
  std::string_view text_;
};

}  // namespace

Result<std::vector<AssistantSpan>> FindAssistantSpans(const ParsedTemplate& parsed,
                                                      const RenderRequest& request,
                                                      const MarkedText& full) {
  const SpanFinder finder(parsed, request, full);
  return parsed.has_generation_blocks ? finder.ByBlocks() : finder.ByRule();
}

}  // namespace metier::text::jinja

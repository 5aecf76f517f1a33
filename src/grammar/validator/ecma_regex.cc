#include "grammar/validator/ecma_regex.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "grammar/validator/ecma_translate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace metier::grammar::validator {
namespace {

// A long text that a group repeats over takes some 100 bytes per repeat.
constexpr std::uint32_t kMaxHeapKib = 128 * 1024;
constexpr std::size_t kJitStackStart = std::size_t{32} * 1024;
constexpr std::size_t kJitStackMax = std::size_t{8} * 1024 * 1024;
constexpr std::size_t kMaxPatternBytes = std::size_t{64} * 1024;

std::string PcreMessage(int code) {
  char text[256] = {};
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof(text));
  return text;
}

// What one match needs beside the code. One per thread: a match takes it for its own duration.
struct MatchSpace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);

  MatchSpace() {
    METIER_CHECK(data != nullptr && context != nullptr, "out of memory");
    pcre2_set_match_limit(context, EcmaRegex::kMaxBacktracks);
    pcre2_set_heap_limit(context, kMaxHeapKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchSpace() {
    if (stack != nullptr) pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  MatchSpace(const MatchSpace&) = delete;
  MatchSpace& operator=(const MatchSpace&) = delete;
};

}  // namespace

struct EcmaRegex::Code {
  explicit Code(pcre2_code* compiled) : code(compiled) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  pcre2_code* code;
};

EcmaRegex::EcmaRegex(std::string source, std::shared_ptr<const Code> code)
    : source_(std::move(source)), code_(std::move(code)) {}

Result<std::shared_ptr<const EcmaRegex::Code>> EcmaRegex::CompileCode(std::string_view pattern,
                                                                      std::uint32_t options) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   options, &error, &offset, nullptr);
  if (code == nullptr) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("cannot be run: {}; it reads '{}', byte {}", PcreMessage(error),
                             Excerpt(pattern), offset));
  }
  static_cast<void>(pcre2_jit_compile(code, PCRE2_JIT_COMPLETE));  // without it, only slower
  return std::shared_ptr<const Code>(std::make_shared<Code>(code));
}

Result<EcmaRegex> EcmaRegex::Compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return Error(ErrorCode::kResourceExhausted, fmt::format("pattern of {} bytes, the limit is {}",
                                                            pattern.size(), kMaxPatternBytes));
  }
  const std::string context = fmt::format("pattern '{}'", Excerpt(pattern));
  auto translated = TranslateEcmaPattern(pattern);
  if (!translated.ok()) return std::move(translated).error().With(context);
  auto code =
      CompileCode(*translated, PCRE2_UTF | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C);
  if (!code.ok()) return std::move(code).error().With(context);
  return EcmaRegex(std::string(pattern), std::move(code).value());
}

EcmaRegex EcmaRegex::Native(std::string_view pcre2_pattern) {
  auto code = CompileCode(pcre2_pattern, PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY);
  METIER_CHECK(code.ok(), code.error().message().c_str());
  return {std::string(pcre2_pattern), std::move(code).value()};
}

Result<bool> EcmaRegex::Matches(std::string_view text) const {
  thread_local MatchSpace space;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int found = pcre2_match(code_->code, subject, text.size(), 0, 0, space.data, space.context);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its frames on the heap
    found =
        pcre2_match(code_->code, subject, text.size(), 0, PCRE2_NO_JIT, space.data, space.context);
  }
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  const bool bad_text = found <= PCRE2_ERROR_UTF8_ERR1 && found >= PCRE2_ERROR_UTF8_ERR21;
  return Error(bad_text ? ErrorCode::kDataCorrupt : ErrorCode::kResourceExhausted,
               fmt::format("pattern '{}' gave up on a text of {} bytes: {}", Excerpt(source_),
                           text.size(), PcreMessage(found)));
}

}  // namespace metier::grammar::validator

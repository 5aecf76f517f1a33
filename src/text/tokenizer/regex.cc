#include "text/tokenizer/regex.h"

#include <fmt/format.h>

#include <mutex>
#include <utility>
#include <vector>

#include "text/tokenizer/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace metier::text {
namespace {

// Per match attempt, in PCRE2's unit; its default. Published patterns need a few per character.
constexpr std::uint32_t kMaxBacktracks = 10'000'000;
constexpr std::uint32_t kMaxHeapKib = 256 * 1024;
constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackMax = 16 * 1024 * 1024;
constexpr std::size_t kMaxPattern = 64 * 1024;

// One thread's matching state.
struct MatchState {
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;

  MatchState() {
    data = pcre2_match_data_create(1, nullptr);
    context = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
    METIER_CHECK(data != nullptr && context != nullptr, "out of memory");
    pcre2_set_match_limit(context, kMaxBacktracks);
    pcre2_set_heap_limit(context, kMaxHeapKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() {
    if (stack != nullptr) pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  bool jit = false;
  std::string literal;  // not empty: search for this instead

  // Idle matching states: at most as many as there were concurrent scans.
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<MatchState>> idle;

  Code() = default;
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  MatchState* Lease() const {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return new MatchState;
    MatchState* state = idle.back().release();
    idle.pop_back();
    return state;
  }
  void Return(MatchState* state) const {
    const std::lock_guard lock(mutex);
    idle.emplace_back(state);
  }
};

Result<Regex> Regex::Compile(std::string_view onig_pattern) {
  if (onig_pattern.size() > kMaxPattern) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("pattern of {} bytes, limit {}", onig_pattern.size(), kMaxPattern));
  }
  METIER_ASSIGN(const std::string pattern, TranslatePattern(onig_pattern));
  auto code = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK,
      &error, &offset, nullptr);
  if (code->code == nullptr) {
    char why[256] = {};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(why), sizeof(why));
    return Error(ErrorCode::kDataCorrupt, fmt::format("pattern '{}' (read as '{}'), byte {}: {}",
                                                      onig_pattern, pattern, offset, why));
  }
  code->jit = pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::move(code));
}

Regex Regex::Literal(std::string_view text) {
  auto code = std::make_shared<Code>();
  code->literal = std::string(text);
  return Regex(std::move(code));
}

Regex::Matches::Matches(const Regex& regex, std::string_view text)
    : regex_(regex),
      text_(text),
      match_data_(regex.code_->code != nullptr ? regex.code_->Lease() : nullptr) {}

Regex::Matches::~Matches() {
  if (match_data_ != nullptr) regex_.code_->Return(static_cast<MatchState*>(match_data_));
}

bool Regex::Matches::Search(std::size_t from) {
  const Code& code = *regex_.code_;
  if (code.code == nullptr) {
    begin_ = code.literal.empty() ? std::string_view::npos : text_.find(code.literal, from);
    if (begin_ == std::string_view::npos) return false;
    end_ = begin_ + code.literal.size();
    return true;
  }
  auto& state = *static_cast<MatchState*>(match_data_);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  int found = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code.jit) {
    found = pcre2_jit_match(code.code, subject, text_.size(), from, 0, state.data, state.context);
  }
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its frames on the heap
    found = pcre2_match(code.code, subject, text_.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        state.data, state.context);
  }
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    char why[256] = {};
    pcre2_get_error_message(found, reinterpret_cast<PCRE2_UCHAR*>(why), sizeof(why));
    status_ = Error(
        ErrorCode::kResourceExhausted,
        fmt::format("pre-tokenizer pattern gave up at byte {} of {}: {}", from, text_.size(), why));
    return false;
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state.data);
  begin_ = offsets[0];
  end_ = offsets[1];
  return true;
}

bool Regex::Matches::Next() {
  if (!status_.ok()) return false;
  std::size_t from = end_;
  const std::size_t last_end = end_;
  while (from <= text_.size() && Search(from)) {
    if (begin_ != end_ || begin_ != last_end || !any_) {
      any_ = true;
      return true;
    }
    if (end_ >= text_.size()) break;
    from = end_ + CharBytes(static_cast<unsigned char>(text_[end_]));
  }
  begin_ = end_ = text_.size();
  return false;
}

}  // namespace metier::text

#include "format/module_pattern.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

namespace metier::format {
namespace {

constexpr std::size_t kMaxPatternBytes = 4096;
constexpr std::uint32_t kMaxSteps = 100'000;

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, Free>;

Result<Code> Compile(const std::string& text) {
  if (text.size() > kMaxPatternBytes)
    return Error(ErrorCode::kDataCorrupt, fmt::format("a module pattern of {} bytes, limit {}",
                                                      text.size(), kMaxPatternBytes));
  int number = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                          PCRE2_ANCHORED | PCRE2_ENDANCHORED, &number, &offset, nullptr));
  if (code) return code;
  PCRE2_UCHAR reason[128] = {};
  pcre2_get_error_message(number, reason, sizeof(reason));
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("module pattern \"{}\": {}", text, reinterpret_cast<char*>(reason)));
}

std::string AsSuffix(std::string_view pattern) { return fmt::format("(?:.*\\.)?(?:{})", pattern); }

}  // namespace

Status CheckModulePattern(std::string_view pattern) {
  METIER_TRY(Compile(std::string(pattern)));
  METIER_TRY(Compile(AsSuffix(pattern)));  // a trailing comment, say, would swallow what we add
  return Ok();
}

bool MatchesModulePattern(std::string_view pattern, std::string_view path, PatternMatch how) {
  const auto code = Compile(how == PatternMatch::kSuffix ? fmt::format("(?:.*\\.)?(?:{})", pattern)
                                                         : std::string(pattern));
  if (!code.ok()) return false;
  const std::unique_ptr<pcre2_match_data, Free> data(
      pcre2_match_data_create_from_pattern(code->get(), nullptr));
  const std::unique_ptr<pcre2_match_context, Free> context(pcre2_match_context_create(nullptr));
  if (!data || !context) return false;
  pcre2_set_match_limit(context.get(), kMaxSteps);
  return pcre2_match(code->get(), reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0, 0,
                     data.get(), context.get()) >= 0;
}

bool HasModuleSuffix(std::string_view path, std::string_view suffix) {
  if (!path.ends_with(suffix)) return false;
  return path.size() == suffix.size() || path[path.size() - suffix.size() - 1] == '.';
}

}  // namespace metier::format

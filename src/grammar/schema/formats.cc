#include "grammar/schema/formats.h"

#include <map>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "grammar/automata/language.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {
namespace {

// Days that every year has: a calendar's leap years are not regular within reason, so the 29th of
// February is left to years that are multiples of 4 and not of 100.
#define METIER_DATE                                                     \
  "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"       \
  "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|" \
  "[0-9]{2}(?:0[48]|[2468][048]|[13579][26])-02-29)"
#define METIER_TIME                                              \
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?" \
  "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define METIER_IPV4                                         \
  "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}" \
  "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define METIER_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define METIER_HOST METIER_LABEL "(?:\\." METIER_LABEL ")*"
#define METIER_ESCAPED "%[0-9A-Fa-f]{2}"
#define METIER_PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|" METIER_ESCAPED ")"
#define METIER_TAIL "(?:\\?(?:" METIER_PCHAR "|[/?])*)?(?:#(?:" METIER_PCHAR "|[/?])*)?"
#define METIER_AUTHORITY                              \
  "(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|" METIER_ESCAPED \
  ")*@)?"                                             \
  "(?:[A-Za-z0-9._~!$&'()*+,;=-]|" METIER_ESCAPED ")*(?::[0-9]{0,5})?"
#define METIER_URI                                                                              \
  "[A-Za-z][A-Za-z0-9+.-]*:(?://" METIER_AUTHORITY "(?:/" METIER_PCHAR "*)*|/?(?:" METIER_PCHAR \
  "+(?:/" METIER_PCHAR "*)*)?)" METIER_TAIL

constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
    {"date", "^" METIER_DATE "$"},
    {"time", "^" METIER_TIME "$"},
    {"date-time", "^" METIER_DATE "[Tt]" METIER_TIME "$"},
    {"duration",
     "^P(?:[0-9]{1,9}W|(?:[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|"
     "[0-9]{1,9}D)(?:T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|"
     "[0-9]{1,9}S))?|T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|"
     "[0-9]{1,9}S))$"},
    {"email",
     "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,32}(?:\\.[A-Za-z0-9!#$%&'*+/"
     "=?^_`{|}~-]{1,31})?@" METIER_HOST "$"},
    {"hostname", "^" METIER_HOST "$"},
    {"ipv4", "^" METIER_IPV4 "$"},
    {"ipv6",
     "^(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(?:[0-9A-Fa-f]{1,4}:){1,7}:|"
     "(?:[0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|(?:[0-9A-Fa-f]{1,4}:){1,5}(?::[0-9A-Fa-f]{1,4}){"
     "1,2}|"
     "(?:[0-9A-Fa-f]{1,4}:){1,4}(?::[0-9A-Fa-f]{1,4}){1,3}|(?:[0-9A-Fa-f]{1,4}:){1,3}(?::[0-9A-Fa-"
     "f]{1,4}){1,4}|"
     "(?:[0-9A-Fa-f]{1,4}:){1,2}(?::[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(?::[0-9A-Fa-f]{1,4}){"
     "1,6}|"
     ":(?:(?::[0-9A-Fa-f]{1,4}){1,7}|:)|::(?:[Ff]{4}:)?" METIER_IPV4 ")$"},
    {"uri", "^" METIER_URI "$"},
    {"uri-reference",
     "^(?:" METIER_URI "|(?://" METIER_AUTHORITY "(?:/" METIER_PCHAR "*)*|/(?:" METIER_PCHAR
     "+(?:/" METIER_PCHAR "*)*)?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|" METIER_ESCAPED
     ")+(?:/" METIER_PCHAR "*)*|)" METIER_TAIL ")$"},
    {"uuid", "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"},
    {"json-pointer", "^(?:/(?:[^~/]|~[01])*)*$"},
    {"relative-json-pointer", "^(?:0|[1-9][0-9]{0,9})(?:#|(?:/(?:[^~/]|~[01])*)*)$"},
};

#undef METIER_DATE
#undef METIER_TIME
#undef METIER_IPV4
#undef METIER_LABEL
#undef METIER_HOST
#undef METIER_ESCAPED
#undef METIER_PCHAR
#undef METIER_TAIL
#undef METIER_AUTHORITY
#undef METIER_URI

}  // namespace

SharedDfa FormatLanguage(std::string_view format) {
  static std::mutex mutex;
  static std::map<std::string_view, SharedDfa> languages;
  for (const auto& [name, text] : kFormats) {
    if (name != format) continue;
    const std::lock_guard lock(mutex);
    SharedDfa& language = languages[name];
    if (language == nullptr) {
      const Result<Pattern> pattern = ParsePattern(text);
      METIER_CHECK(pattern.ok(), "formats are patterns");
      Result<Dfa> dfa = LanguageOf(*pattern, Match::kAnywhere, Spelling::kJsonString);
      METIER_CHECK(dfa.ok(), "and have automata");
      language = std::make_shared<const Dfa>(std::move(*dfa));
    }
    return language;
  }
  return nullptr;
}

}  // namespace metier::grammar

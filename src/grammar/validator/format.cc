#include "grammar/validator/format.h"

#include <array>

#include "grammar/validator/format_checks.h"

namespace metier::grammar::validator {
namespace {

constexpr auto kFormats = std::to_array<Format>({
    {"date", "a date such as 2024-02-29 (RFC 3339)", &IsDate},
    {"date-time", "a date and time such as 2024-02-29T12:00:00Z (RFC 3339)", &IsDateTime},
    {"duration", "a duration such as P3DT4H (RFC 3339, appendix A)", &IsDuration},
    {"email", "an e-mail address (RFC 5321)", &IsEmail},
    {"hostname", "a host name (RFC 1123)", &IsHostname},
    {"idn-email", "an internationalised e-mail address (RFC 6531)", &IsIdnEmail},
    {"idn-hostname", "an internationalised host name (RFC 5890)", &IsIdnHostname},
    {"ipv4", "an IPv4 address such as 192.0.2.1", &IsIpv4},
    {"ipv6", "an IPv6 address such as 2001:db8::1 (RFC 4291)", &IsIpv6},
    {"iri", "an IRI with a scheme (RFC 3987)", &IsIri},
    {"iri-reference", "an IRI or a relative reference (RFC 3987)", &IsIriReference},
    {"json-pointer", "a JSON pointer such as /a/0 (RFC 6901)", &IsJsonPointer},
    {"regex", "a regular expression (ECMA-262)", &IsRegex},
    {"relative-json-pointer", "a relative JSON pointer such as 1/a", &IsRelativePointer},
    {"time", "a time with an offset such as 12:00:00Z (RFC 3339)", &IsTime},
    {"uri", "a URI with a scheme (RFC 3986)", &IsUri},
    {"uri-reference", "a URI or a relative reference (RFC 3986)", &IsUriReference},
    {"uri-template", "a URI template (RFC 6570)", &IsUriTemplate},
    {"uuid", "a UUID (RFC 4122)", &IsUuid},
});

}  // namespace

const Format* FindFormat(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

}  // namespace metier::grammar::validator

// grammar/validator/format_checks.h - one function per format; true where the whole text has it.
//
// Texts are any bytes; what is not UTF-8 fits no format that allows more than ASCII.
#pragma once

#include <string_view>

namespace metier::grammar::validator {

// format_time.cc. RFC 3339: dates of the Gregorian calendar, times with an offset; a 60th second
// only where a leap second may be, in the last minute of a UTC day.
bool IsDate(std::string_view text);
bool IsTime(std::string_view text);
bool IsDateTime(std::string_view text);
// RFC 3339, appendix A: "P3DT4H". Units in order and without gaps, no fractions.
bool IsDuration(std::string_view text);

// format_host.cc. Addresses by RFC 2673 (four decimals, no leading zeros) and RFC 4291.
bool IsIpv4(std::string_view text);
bool IsIpv6(std::string_view text);
// RFC 1123; labels that begin with xn-- must be valid by IDNA 2008.
bool IsHostname(std::string_view text);
// Letters, digits and inner hyphens, 1 to 63 of them.
bool IsLdhLabel(std::string_view text);
// RFC 5321's mailbox, and RFC 6531's, which allows any characters beyond ASCII.
bool IsEmail(std::string_view text);
bool IsIdnEmail(std::string_view text);

// format_idna.cc. RFC 5890 to 5893: permitted characters, context rules, bidi rule, lengths.
bool IsIdnHostname(std::string_view text);

// format_uri.cc. RFC 3986 and, with characters beyond ASCII, RFC 3987; RFC 6570, any level.
bool IsUri(std::string_view text);
bool IsUriReference(std::string_view text);
bool IsIri(std::string_view text);
bool IsIriReference(std::string_view text);
bool IsUriTemplate(std::string_view text);

// format_text.cc
bool IsUuid(std::string_view text);             // RFC 4122, any version
bool IsJsonPointer(std::string_view text);      // RFC 6901
bool IsRelativePointer(std::string_view text);  // "1/name", "0#"
bool IsRegex(std::string_view text);            // ECMA-262 (ecma_translate.h)

// Shared by them.
bool IsDigit(char c);
bool IsHexadecimal(char c);
bool IsAlphanumeric(char c);  // of ASCII

}  // namespace metier::grammar::validator

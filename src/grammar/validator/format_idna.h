// grammar/validator/format_idna.h - host names beyond ASCII (IDNA 2008): RFC 5890 to 5893, 3492.
//
//   U-label   what people read: "bücher"     A-label   what DNS stores: "xn--bcher-kva"
//
// The permitted characters are derived from Unicode's properties as RFC 5892 derives them, so they
// follow the Unicode version of PCRE2. Joining types, which PCRE2 does not know, are a table for
// the Arabic, Syriac and Mandaic scripts; letters of the other joining scripts count as joining on
// both sides.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace metier::grammar::validator {

// The labels of a domain, dots between them; labels may be of either kind and mixed. Checks what
// IDNA adds: characters, context and bidi rules of U-labels, A-labels being the encoding of one.
bool IsIdnaDomain(std::string_view domain);

// A U-label: no rule of IDNA is broken, and its A-label is not too long.
bool IsUnicodeLabel(std::string_view label);

// RFC 3492, without the xn--. Nothing for what is no Punycode, or no UTF-8.
std::optional<std::string> PunycodeDecode(std::string_view encoded);
std::optional<std::string> PunycodeEncode(std::string_view label);

}  // namespace metier::grammar::validator

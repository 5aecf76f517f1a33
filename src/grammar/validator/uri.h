// grammar/validator/uri.h - URI references (RFC 3986): taken apart, resolved, written again.
//
// Lenient on purpose: it names documents and resolves $id and $ref; whether a text is a well-formed
// URI is asked of the format "uri".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace metier::grammar::validator {

struct Uri {
  std::optional<std::string> scheme;     // lower case
  std::optional<std::string> authority;  // lower case
  std::string path;
  std::optional<std::string> query;
  std::optional<std::string> fragment;  // still percent-encoded

  // Any text is some reference (RFC 3986, appendix B).
  static Uri Parse(std::string_view text);

  // `reference` seen from *this as the base (section 5.2.2). A base without a scheme, as that of a
  // schema nobody named, resolves paths alike.
  Uri Resolve(const Uri& reference) const;

  // Without the fragment: how a document is named.
  std::string Document() const;
};

// %41 becomes A; a percent sign without two digits stays.
std::string PercentDecode(std::string_view text);

}  // namespace metier::grammar::validator

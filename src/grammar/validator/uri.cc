#include "grammar/validator/uri.h"

#include <algorithm>

namespace metier::grammar::validator {
namespace {

constexpr std::string_view kNone = {};

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& byte : lower) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  }
  return lower;
}

bool IsScheme(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
         });
}

// Cuts `text` at the first `mark`: what follows it, if it is there.
std::optional<std::string> CutAt(std::string_view& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  std::string rest(text.substr(at + 1));
  text = text.substr(0, at);
  return rest;
}

// RFC 3986, section 5.2.4.
std::string RemoveDotSegments(std::string_view path) {
  std::string out;
  const auto drop_last = [&out] {
    const std::size_t slash = out.rfind('/');
    out.resize(slash == std::string::npos ? 0 : slash);
  };
  while (!path.empty()) {
    if (path.starts_with("../")) {
      path.remove_prefix(3);
    } else if (path.starts_with("./") || path.starts_with("/./")) {
      path.remove_prefix(2);
    } else if (path == "/.") {
      path = "/";
    } else if (path.starts_with("/../")) {
      path.remove_prefix(3);
      drop_last();
    } else if (path == "/..") {
      path = "/";
      drop_last();
    } else if (path == "." || path == "..") {
      path = kNone;
    } else {
      const std::size_t next = path.find('/', 1);
      out += path.substr(0, next);
      path = next == std::string_view::npos ? kNone : path.substr(next);
    }
  }
  return out;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Uri Uri::Parse(std::string_view text) {
  Uri uri;
  uri.fragment = CutAt(text, '#');
  uri.query = CutAt(text, '?');
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && IsScheme(text.substr(0, colon))) {
    uri.scheme = LowerAscii(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
  if (text.starts_with("//")) {
    text.remove_prefix(2);
    const std::size_t slash = text.find('/');
    uri.authority = LowerAscii(text.substr(0, slash));
    text = slash == std::string_view::npos ? kNone : text.substr(slash);
  }
  uri.path = std::string(text);
  return uri;
}

Uri Uri::Resolve(const Uri& reference) const {
  Uri target = reference;
  if (reference.scheme || reference.authority) {
    if (!reference.scheme) target.scheme = scheme;
    target.path = RemoveDotSegments(reference.path);
    return target;
  }
  target.scheme = scheme;
  target.authority = authority;
  if (reference.path.empty()) {
    target.path = path;
    if (!reference.query) target.query = query;
  } else if (reference.path.starts_with('/')) {
    target.path = RemoveDotSegments(reference.path);
  } else if (authority && path.empty()) {
    target.path = RemoveDotSegments("/" + reference.path);
  } else {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    target.path = RemoveDotSegments(folder + reference.path);
  }
  return target;
}

std::string Uri::Document() const {
  std::string text;
  if (scheme) text += *scheme + ":";
  if (authority) text += "//" + *authority;
  text += path;
  if (query) text += "?" + *query;
  return text;
}

std::string PercentDecode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low >= 0) {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace metier::grammar::validator

// base/base64.h - binary data inside of JSON (RFC 4648, section 4).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace metier {

// kDataCorrupt: a character outside of the alphabet, a wrong length, padding inside.
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace metier

// base/error_json.h - errors as JSON, so that they keep their codes across a border:
// {"code": "not found", "message": ".."}.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace metier {

Json ErrorToJson(const Error& error);

// What another side said; kIo with "unknown error" where that is no error of ours.
Error ErrorFromJson(const Json& document);

}  // namespace metier

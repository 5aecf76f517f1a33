// grammar/validator/metaschemas.h - the standard metaschemas of 2020-12 and draft 07, built in.
//
// They state what the drafts' official metaschemas state, under the same URIs and with the same
// names of definitions, so that any $ref into those resolves; titles and comments are left out.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace metier::grammar::validator {

// Known URI (without a fragment) or null. The document lives as long as the program.
// Cost: the first call parses all of them, about 10 KB.
const Json* FindMetaschema(std::string_view uri);

}  // namespace metier::grammar::validator

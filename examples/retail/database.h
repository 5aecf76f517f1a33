// retail/database.h - the shop as an SQLite file: written whole or not at all, read back whole.
#pragma once

#include <string>

#include "base/result.h"
#include "retail/world.h"

namespace metier::retail {

// Creates `path` (an existing file is replaced) through a temporary file beside it, in one
// transaction with foreign keys enforced. kIo: SQLite's own words.
Status WriteDatabase(const World& world, const std::string& path);

// kNotFound: no such file.  kDataCorrupt: not a database, not our schema, a name or a reference
// that means nothing.
Result<World> ReadDatabase(const std::string& path);

}  // namespace metier::retail

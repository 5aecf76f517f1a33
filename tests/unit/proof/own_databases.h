// The databases of this folder, as files and as one text.
#pragma once

#include <string>

#include "proof/database.h"
#include "proof/folder_resolver.h"
#include "support/fixtures.h"

namespace metier::proof {

inline std::string DatabaseFolder() { return test::SourceFolder() + "/tests/unit/proof/databases"; }

inline Result<Database> ReadOwn(const std::string& name) {
  const std::string folder = DatabaseFolder();
  return Database::Read(test::ReadAll(folder + "/" + name),
                        {.name = name, .includes = FilesOfFolder(folder, 1 << 20)});
}

// With what it includes in the place of the include.
inline std::string OwnInOne(const std::string& name) {
  std::string text = test::ReadAll(DatabaseFolder() + "/" + name);
  const std::size_t begin = text.find("$[");
  if (begin == std::string::npos) return text;
  const std::size_t end = text.find("$]");
  const std::string included = text.substr(begin + 3, end - begin - 4);
  return text.substr(0, begin) + OwnInOne(included) + text.substr(end + 2);
}

}  // namespace metier::proof

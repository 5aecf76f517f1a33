// retail/embedded.h - the shop's text files (phrase banks, policy.md, tools.json), compiled into
// the program by CMakeLists.txt.
#pragma once

#include <string_view>
#include <vector>

namespace metier::retail {

struct EmbeddedFile {
  std::string_view name;  // relative to examples/retail, e.g. "data/people.txt"
  std::string_view text;
};

// All of them, by name. The texts live as long as the program.
const std::vector<EmbeddedFile>& EmbeddedFiles();

// Requires that the file exists: names are written in our code only.
std::string_view EmbeddedText(std::string_view name);

}  // namespace metier::retail

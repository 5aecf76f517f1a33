// proof/folder_resolver.h - includes from the files of one folder, and from nowhere else.
#pragma once

#include <cstdint>
#include <string>

#include "proof/source.h"

namespace metier::proof {

// Names are those of files in the folder or below it. Refused, before anything is opened: absolute
// names and names with `..` (kInvalidArgument); and what is no regular file of the folder once
// symbolic links have been followed (kNotFound), so a link cannot lead out of it. A file larger
// than max_bytes: kResourceExhausted.
IncludeResolver FilesOfFolder(std::string folder, std::uint64_t max_bytes);

}  // namespace metier::proof

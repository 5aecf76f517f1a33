// base/version.h - the version of this program, as CMake's project() says.
#pragma once

namespace metier {

// "0.1.0"
const char* Version();

}  // namespace metier

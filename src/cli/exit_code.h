// cli/exit_code.h - the one place where an outcome becomes the process's exit code.
//
//   0  success
//   1  the work was done and says no: a gate, a comparison, a check of data
//   2  wrong use: flags, arguments, values that make no sense together
//   3  bad input: a file or name that is absent, damaged, over a limit or not supported
//   4  a missing dependency or resource: memory, disk, permission, the training plug-in
#pragma once

#include "base/result.h"

namespace metier::cli {

enum class ExitCode {
  kSuccess = 0,
  kWorkFailed = 1,
  kWrongUse = 2,
  kBadInput = 3,
  kMissingResource = 4,
};

ExitCode ExitCodeOf(ErrorCode code);

}  // namespace metier::cli

#include "cli/exit_code.h"

namespace metier::cli {

ExitCode ExitCodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return ExitCode::kWrongUse;
    case ErrorCode::kNotFound:
    case ErrorCode::kDataCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kResourceExhausted: return ExitCode::kBadInput;  // input over a limit of ours
    case ErrorCode::kIo: return ExitCode::kMissingResource;
  }
  return ExitCode::kMissingResource;
}

}  // namespace metier::cli

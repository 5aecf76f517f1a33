// cli/cli.h - the command line: a table of verbs, one file each.
#pragma once

namespace metier::cli {

// Exit codes: 0 success, 1 the work failed, 2 wrong use, 3 bad input, 4 missing dependency or
// resource.
int Main(int argc, char** argv);

}  // namespace metier::cli

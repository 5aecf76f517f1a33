#include "cli/cli.h"

#include <cstdio>
#include <cstring>

namespace metier::cli {

int Main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    std::puts("metier 0.1.0");
    return 0;
  }
  std::fputs("usage: metier --version\n", stderr);
  return 2;
}

}  // namespace metier::cli

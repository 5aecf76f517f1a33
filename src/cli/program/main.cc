#include "cli/cli.h"

int main(int argc, char** argv) { return metier::cli::Main(argc, argv); }

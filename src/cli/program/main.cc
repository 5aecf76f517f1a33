#include "cli/command_line.h"

int main(int argc, char** argv) { return metier::cli::Main(argc, argv); }

// train_once - trains as a JSON file says, in a process that a test may kill (train_process.h).
//
//   train_once CONFIG [BYTES]
//
// A fork of the test's own process could not: where LibTorch has devices, its threads do not
// survive that. Says "begins" when it does, then the reply, or what went wrong. SIGTERM asks for
// its end. BYTES: no file becomes larger.
#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "train/trainer.h"

namespace {

volatile std::sig_atomic_t asked = 0;

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  const metier::Result<metier::Json> document = metier::ReadJsonFile(arguments[1]);
  if (!document.ok()) return 2;
  const auto config = metier::recipe::ParseTrainConfig(*document);
  if (!config.ok()) return 2;
  if (count > 2) {
    std::signal(SIGXFSZ, SIG_IGN);  // the write fails, as on a full disk
    const auto bytes = static_cast<rlim_t>(std::atoll(arguments[2]));
    const rlimit limit = {bytes, bytes};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
  }
  std::signal(SIGTERM, [](int) { asked = 1; });
  fmt::print("begins\n");
  std::fflush(stdout);
  const metier::Result<metier::Json> reply =
      metier::train::Train(*config, [](const metier::Json&) { return asked != 0; });
  if (reply.ok()) {
    fmt::print("{}\n", metier::DumpCompact(*reply));
    return 0;
  }
  fmt::print("{}: {}\n", metier::ErrorCodeName(reply.error().code()), reply.error().message());
  return 1;
}

#include "cli/interrupt.h"

#include <csignal>

namespace metier::cli {
namespace {

// Handlers may touch nothing but this.
volatile std::sig_atomic_t interrupts = 0;

extern "C" void OnInterrupt(int signal) {
  if (interrupts != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  interrupts = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupts = 0;
  std::signal(SIGINT, &OnInterrupt);
  std::signal(SIGTERM, &OnInterrupt);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptGuard::asked() { return interrupts != 0; }

void InterruptGuard::Clear() { interrupts = 0; }

}  // namespace metier::cli

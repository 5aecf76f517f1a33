// cli/interrupt.h - Ctrl-C asks long work to end well; a second one ends the process at once.
#pragma once

namespace metier::cli {

// While an object lives, SIGINT and SIGTERM set a flag instead of killing. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool asked();
  // Forgets a past request: a chat goes on after an interrupted answer.
  static void Clear();
};

}  // namespace metier::cli

// base/check.h - broken invariants of ours: always fatal, never reachable from input.
//
// A failed check prints the condition, the reason and the place, then aborts: a process whose own
// invariants do not hold must not write files. For anything that input can cause, return an Error
// (base/result.h) instead.
#pragma once

namespace metier {

[[noreturn]] void CheckFailed(const char* condition, const char* why, const char* file, int line);

}  // namespace metier

#define METIER_CHECK(condition, why)  \
  ((condition) ? static_cast<void>(0) \
               : ::metier::CheckFailed(#condition, (why), __FILE__, __LINE__))

// For inner loops: compiled out of release builds.
#ifdef NDEBUG
#define METIER_DCHECK(condition, why) static_cast<void>(sizeof(!(condition)))
#else
#define METIER_DCHECK(condition, why) METIER_CHECK(condition, why)
#endif

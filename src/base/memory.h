// base/memory.h - what the system says of memory: this process's, and what is left. Linux; 0 where
// it does not say.
#pragma once

#include <cstdint>

namespace metier {

// The most that this process has had in memory, mapped files included. Not getrusage, whose figure
// a process inherits from the one that started it.
std::uint64_t PeakResidentBytes();
// What it has now.
std::uint64_t ResidentBytes();

// All of the machine's memory, and what can be had without pushing out what others use: less where
// a control group (cgroup v2) allows less.
std::uint64_t TotalMemoryBytes();
std::uint64_t AvailableMemoryBytes();

}  // namespace metier

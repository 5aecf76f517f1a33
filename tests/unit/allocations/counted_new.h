// tests/unit/allocations/counted_new.h - how often the program has asked for memory by
// operator new, which its own replaces. Not counted: pages of the KV cache, which come from
// std::aligned_alloc.
#pragma once

#include <cstdint>

namespace metier::test {

// Since the program began.
std::int64_t AllocationsSoFar();

}  // namespace metier::test

// Sums of table entries over all items, level after level: the scores that a ranking sorts.
#pragma once

#include <cstdint>

namespace anybit {

// Adds to `sums` (n_items,) the entry of `low` (16,) for the low half of an item's byte, then that of
// `high` (16,) for the high half: two levels of 16 codewords, in their order, rounded after each.
using AddHalves = void (*)(const std::uint8_t* bytes, const float* low, const float* high,
                           std::int64_t n_items, float* sums);

void add_halves_portable(const std::uint8_t*, const float*, const float*, std::int64_t, float*);
#if defined(__x86_64__)
void add_halves_avx2(const std::uint8_t*, const float*, const float*, std::int64_t, float*);
#endif

}  // namespace anybit

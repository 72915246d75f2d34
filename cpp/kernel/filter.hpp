// The filter: sums of small table entries, many items at a time, against a threshold.
//
// It never decides an answer. It drops items that cannot be among the best, by the bound of
// bound.hpp; what it leaves is scored exactly in float32 (scan.cpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace anybit {

// One level as the filter sees it: codes of all items, and a table of upper bounds in [0, 255].
struct FilterLevel {
  const std::uint8_t* codes;  // (N,), values below `width`
  const std::uint8_t* table;  // (width,)
  int width;                  // 16 or 256; tables of other K are padded to one of them
};

// Writes the positions in [begin, end) whose entries sum to at least `threshold` into `found`
// (room for end - begin), ascending, and returns how many there are. At most 17 levels.
using Filter = std::size_t (*)(const FilterLevel* levels, int n_levels, std::int64_t begin,
                               std::int64_t end, int threshold, std::int64_t* found);

std::size_t filter_portable(const FilterLevel*, int, std::int64_t, std::int64_t, int,
                            std::int64_t*);
#if defined(__x86_64__)
std::size_t filter_avx2(const FilterLevel*, int, std::int64_t, std::int64_t, int, std::int64_t*);
std::size_t filter_avx512bw(const FilterLevel*, int, std::int64_t, std::int64_t, int,
                            std::int64_t*);
std::size_t filter_avx512vbmi(const FilterLevel*, int, std::int64_t, std::int64_t, int,
                              std::int64_t*);
#elif defined(__aarch64__)
std::size_t filter_neon(const FilterLevel*, int, std::int64_t, std::int64_t, int, std::int64_t*);
#endif

}  // namespace anybit

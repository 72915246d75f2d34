// The filter: sums of small table entries, many items at a time, against a limit.
//
// It never decides an answer. It drops items that cannot be among the best, by the bound of
// bound.hpp; what it leaves is scored exactly in float32 (scan.cpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace anybit {

// One plane of bytes as the filter sees it, and what a byte costs an item, in steps up to 255.
struct FilterPlane {
  const std::uint8_t* bytes;  // (N,)
  const std::uint8_t* table;  // (256,), or two of (16,): for the low and for the high half of a byte
  bool is_halved;
};

// Planes of halves come before others. Writes the positions in [begin, end) whose entries sum to at most `most` (0 to 254) into `found`
// (room for end - begin), ascending, and returns how many there are. Sums may stop at 255.
using Filter = std::size_t (*)(const FilterPlane* planes, int n_planes, std::int64_t begin,
                               std::int64_t end, int most, std::int64_t* found);

std::size_t filter_portable(const FilterPlane*, int, std::int64_t, std::int64_t, int,
                            std::int64_t*);
#if defined(__x86_64__)
std::size_t filter_avx2(const FilterPlane*, int, std::int64_t, std::int64_t, int, std::int64_t*);
std::size_t filter_avx512bw(const FilterPlane*, int, std::int64_t, std::int64_t, int,
                            std::int64_t*);
std::size_t filter_avx512vbmi(const FilterPlane*, int, std::int64_t, std::int64_t, int,
                              std::int64_t*);
#elif defined(__aarch64__)
std::size_t filter_neon(const FilterPlane*, int, std::int64_t, std::int64_t, int, std::int64_t*);
#endif

}  // namespace anybit

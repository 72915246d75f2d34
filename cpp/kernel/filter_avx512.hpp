// What both filters with AVX-512 share: 64 items at a time, sums of 16 bits, survivors by mask.
//
// Included by files compiled for AVX-512BW alone; everything here has internal linkage, so that no
// code for that instruction set can take the place of another file's.
#pragma once

#include <immintrin.h>

#include "filter.hpp"

namespace anybit {
namespace {

inline __m512i piece(const std::uint8_t* table, int number) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table) + number));
}

inline __m512i look_up_16(const std::uint8_t* table, __m512i codes) {
  return _mm512_shuffle_epi8(piece(table, 0), codes);
}

// `LookUp256` maps (table, codes) to entries.
template <typename LookUp256>
inline std::size_t filter_by_64(const FilterLevel* levels, int n_levels, std::int64_t begin,
                                std::int64_t end, int threshold, std::int64_t* found,
                                LookUp256 look_up_256) {
  const auto look_up = [&](const FilterLevel& level, std::int64_t at) {
    const __m512i codes = _mm512_loadu_si512(level.codes + at);
    return level.width == 16 ? look_up_16(level.table, codes) : look_up_256(level.table, codes);
  };
  const __m512i zero = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  const __m512i least = _mm512_set1_epi16(static_cast<short>(threshold));
  std::size_t n_found = 0;
  std::int64_t at = begin;
  for (; at + 64 <= end; at += 64) {
    __m512i low = zero, high = zero;
    int level = 0;
    for (; level + 2 <= n_levels; level += 2) {
      const __m512i first = look_up(levels[level], at);
      const __m512i second = look_up(levels[level + 1], at);
      low = _mm512_add_epi16(low, _mm512_maddubs_epi16(_mm512_unpacklo_epi8(first, second), ones));
      high =
          _mm512_add_epi16(high, _mm512_maddubs_epi16(_mm512_unpackhi_epi8(first, second), ones));
    }
    if (level < n_levels) {
      const __m512i last = look_up(levels[level], at);
      low = _mm512_add_epi16(low, _mm512_unpacklo_epi8(last, zero));
      high = _mm512_add_epi16(high, _mm512_unpackhi_epi8(last, zero));
    }
    const __mmask32 is_low = _mm512_cmpge_epi16_mask(low, least);
    const __mmask32 is_high = _mm512_cmpge_epi16_mask(high, least);
    if ((is_low | is_high) == 0) continue;  // by far the most frequent
    // Unpacking took bytes 0-7 of each 128 bits to `low` and 8-15 to `high`; packing undoes it.
    const __m512i kept = _mm512_packs_epi16(_mm512_movm_epi16(is_low), _mm512_movm_epi16(is_high));
    std::uint64_t mask = _mm512_movepi8_mask(kept);
    while (mask != 0) {
      found[n_found++] = at + __builtin_ctzll(mask);
      mask &= mask - 1;
    }
  }
  return n_found + filter_portable(levels, n_levels, at, end, threshold, found + n_found);
}

}  // namespace
}  // namespace anybit

// What both filters with AVX-512 share: 64 items at a time, survivors by mask.
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

// `LookUp256` maps (table, bytes) to entries.
template <typename LookUp256>
inline std::size_t filter_by_64(const FilterPlane* planes, int n_planes, std::int64_t begin,
                                std::int64_t end, int most, std::int64_t* found,
                                LookUp256 look_up_256) {
  const __m512i half = _mm512_set1_epi8(0x0f);
  const __m512i limit = _mm512_set1_epi8(static_cast<char>(most));
  std::size_t n_found = 0;
  std::int64_t at = begin;
  for (; at + 64 <= end; at += 64) {
    __m512i sums = _mm512_setzero_si512();
    for (int number = 0; number < n_planes; ++number) {
      const std::uint8_t* table = planes[number].table;
      const __m512i bytes = _mm512_loadu_si512(planes[number].bytes + at);
      if (planes[number].is_halved) {
        const __m512i low = _mm512_and_si512(bytes, half);
        const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), half);
        sums = _mm512_adds_epu8(sums, _mm512_shuffle_epi8(piece(table, 0), low));
        sums = _mm512_adds_epu8(sums, _mm512_shuffle_epi8(piece(table, 1), high));
      } else {
        sums = _mm512_adds_epu8(sums, look_up_256(table, bytes));
      }
    }
    std::uint64_t mask = _mm512_cmple_epu8_mask(sums, limit);
    while (mask != 0) {
      found[n_found++] = at + __builtin_ctzll(mask);
      mask &= mask - 1;
    }
  }
  return n_found + filter_portable(planes, n_planes, at, end, most, found + n_found);
}

}  // namespace
}  // namespace anybit

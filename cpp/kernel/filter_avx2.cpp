// The filter with AVX2: 32 items at a time, tables in pieces of 16 bytes that `vpshufb` looks up.
//
// This file alone is compiled for AVX2; nothing in it runs before dispatch.cpp has asked the
// processor, so it must not have static initialisers, nor use templates of the standard library, of
// which the linker keeps one copy for all files.
#include "filter.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace anybit {
namespace {

inline __m256i piece(const std::uint8_t* table, int number) {
  return _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(table) + number));
}

// Entries of a table of 16.
inline __m256i look_up_16(const std::uint8_t* table, __m256i codes) {
  return _mm256_shuffle_epi8(piece(table, 0), codes);
}

// Entries of a table of 256: sixteen pieces by the low half of the code, then the right one of
// them by its high half. `vpshufb` gives 0 where the index has its top bit set, which makes the
// first of the four choices.
inline __m256i look_up_256(const std::uint8_t* table, __m256i codes) {
  const __m256i top = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i bit6 = _mm256_add_epi8(codes, codes);  // the bit on top, for `vpblendvb`
  const __m256i bit5 = _mm256_add_epi8(bit6, bit6);
  const __m256i bit4 = _mm256_add_epi8(bit5, bit5);
  const __m256i low = _mm256_and_si256(codes, _mm256_set1_epi8(0x0f));
  const __m256i even = _mm256_or_si256(low, _mm256_and_si256(bit4, top));
  const __m256i odd = _mm256_xor_si256(even, top);
  const auto two = [&](int number) {
    return _mm256_or_si256(_mm256_shuffle_epi8(piece(table, number), even),
                           _mm256_shuffle_epi8(piece(table, number + 1), odd));
  };
  const auto four = [&](int number) {
    return _mm256_blendv_epi8(two(number), two(number + 2), bit5);
  };
  const auto eight = [&](int number) {
    return _mm256_blendv_epi8(four(number), four(number + 4), bit6);
  };
  return _mm256_blendv_epi8(eight(0), eight(8), codes);
}

inline __m256i look_up(const FilterLevel& level, std::int64_t at) {
  const __m256i codes =
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(level.codes + at));
  return level.width == 16 ? look_up_16(level.table, codes) : look_up_256(level.table, codes);
}

// 16-bit sums of 32 items; unpacking took bytes 0-7 of each 128 bits to `low`, the others to `high`.
struct Sums {
  __m256i low, high;
};

// Adds the entries of some levels to the sums of the 32 items from `at` on.
inline Sums sums_of(const FilterLevel* levels, int n_levels, std::int64_t at, Sums sums) {
  const __m256i ones = _mm256_set1_epi8(1);
  int level = 0;
  for (; level + 2 <= n_levels; level += 2) {
    const __m256i first = look_up(levels[level], at);
    const __m256i second = look_up(levels[level + 1], at);
    sums.low = _mm256_add_epi16(
        sums.low, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(first, second), ones));
    sums.high = _mm256_add_epi16(
        sums.high, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(first, second), ones));
  }
  if (level < n_levels) {
    const __m256i last = look_up(levels[level], at), zero = _mm256_setzero_si256();
    sums.low = _mm256_add_epi16(sums.low, _mm256_unpacklo_epi8(last, zero));
    sums.high = _mm256_add_epi16(sums.high, _mm256_unpackhi_epi8(last, zero));
  }
  return sums;
}

}  // namespace

std::size_t filter_avx2(const FilterLevel* levels, int n_levels, std::int64_t begin,
                        std::int64_t end, int threshold, std::int64_t* found) {
  // More planes at once than a cache has ways push each other out where they lie a power of two
  // apart: groups of levels take turns, the sums of 2,048 items kept between them.
  constexpr int kGroup = 8;
  constexpr int kVectors = 64;
  const __m256i below = _mm256_set1_epi16(static_cast<short>(threshold - 1));
  const __m256i zero = _mm256_setzero_si256();
  std::size_t n_found = 0;
  std::int64_t at = begin;
  while (at + 32 <= end) {
    const std::int64_t n_left = (end - at) / 32;
    const int n_vectors = n_left < kVectors ? static_cast<int>(n_left) : kVectors;
    Sums kept[kVectors];
    int level = 0;
    if (n_levels > kGroup) {
      for (int v = 0; v < n_vectors; ++v) {
        kept[v] = sums_of(levels, kGroup, at + 32 * v, {zero, zero});
      }
      for (level = kGroup; level + kGroup < n_levels; level += kGroup) {
        for (int v = 0; v < n_vectors; ++v) {
          kept[v] = sums_of(levels + level, kGroup, at + 32 * v, kept[v]);
        }
      }
    }
    for (int v = 0; v < n_vectors; ++v, at += 32) {
      const Sums start = level > 0 ? kept[v] : Sums{zero, zero};
      const Sums sums = sums_of(levels + level, n_levels - level, at, start);
      const __m256i is_kept = _mm256_packs_epi16(_mm256_cmpgt_epi16(sums.low, below),
                                                 _mm256_cmpgt_epi16(sums.high, below));
      std::uint32_t mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(is_kept));
      while (mask != 0) {
        found[n_found++] = at + __builtin_ctz(mask);
        mask &= mask - 1;
      }
    }
  }
  return n_found + filter_portable(levels, n_levels, at, end, threshold, found + n_found);
}

}  // namespace anybit
#endif

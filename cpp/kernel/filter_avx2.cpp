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

inline __m256i load(const std::uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// The entries of 32 bytes, added to `sums`.
inline __m256i plus_halved(__m256i sums, const std::uint8_t* bytes, __m256i low, __m256i high) {
  const __m256i half = _mm256_set1_epi8(0x0f);
  const __m256i both = load(bytes);
  const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(both, 4), half);
  sums = _mm256_adds_epu8(sums, _mm256_shuffle_epi8(low, _mm256_and_si256(both, half)));
  return _mm256_adds_epu8(sums, _mm256_shuffle_epi8(high, upper));
}

// The entries of 32 bytes of every plane from the first on, added to `sums`.
inline __m256i plus_whole(__m256i sums, const FilterPlane* first, const FilterPlane* last,
                          std::int64_t at) {
  for (const FilterPlane* plane = first; plane != last; ++plane) {
    sums = _mm256_adds_epu8(sums, look_up_256(plane->table, load(plane->bytes + at)));
  }
  return sums;
}

// Which of 32 sums are at most `most`: their bytes are all ones.
inline __m256i at_most(__m256i sums, __m256i most) {
  return _mm256_cmpeq_epi8(_mm256_min_epu8(sums, most), sums);
}

inline std::size_t take(__m256i is_kept, std::int64_t at, std::int64_t* found) {
  std::uint32_t mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(is_kept));
  std::size_t n_found = 0;
  while (mask != 0) {
    found[n_found++] = at + __builtin_ctz(mask);
    mask &= mask - 1;
  }
  return n_found;
}

// 128 items: tables of 16 are loaded once for all of them. Planes of halves come first, in a loop of
// their own, so that the sums stay in registers.
inline std::size_t filter_128(const FilterPlane* planes, const FilterPlane* whole,
                              const FilterPlane* last, std::int64_t at, __m256i most,
                              std::int64_t* found) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (const FilterPlane* plane = planes; plane != whole; ++plane) {
    const std::uint8_t* bytes = plane->bytes + at;
    const __m256i low = piece(plane->table, 0), high = piece(plane->table, 1);
    a = plus_halved(a, bytes, low, high);
    b = plus_halved(b, bytes + 32, low, high);
    c = plus_halved(c, bytes + 64, low, high);
    d = plus_halved(d, bytes + 96, low, high);
  }
  if (whole != last) {
    a = plus_whole(a, whole, last, at);
    b = plus_whole(b, whole, last, at + 32);
    c = plus_whole(c, whole, last, at + 64);
    d = plus_whole(d, whole, last, at + 96);
  }
  a = at_most(a, most), b = at_most(b, most), c = at_most(c, most), d = at_most(d, most);
  const __m256i any = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
  if (_mm256_testz_si256(any, any)) return 0;  // by far the most frequent
  std::size_t n_found = take(a, at, found);
  n_found += take(b, at + 32, found + n_found);
  n_found += take(c, at + 64, found + n_found);
  return n_found + take(d, at + 96, found + n_found);
}

inline std::size_t filter_32(const FilterPlane* planes, const FilterPlane* whole,
                             const FilterPlane* last, std::int64_t at, __m256i most,
                             std::int64_t* found) {
  __m256i sums = _mm256_setzero_si256();
  for (const FilterPlane* plane = planes; plane != whole; ++plane) {
    sums = plus_halved(sums, plane->bytes + at, piece(plane->table, 0), piece(plane->table, 1));
  }
  return take(at_most(plus_whole(sums, whole, last, at), most), at, found);
}

}  // namespace

std::size_t filter_avx2(const FilterPlane* planes, int n_planes, std::int64_t begin,
                        std::int64_t end, int most, std::int64_t* found) {
  const __m256i limit = _mm256_set1_epi8(static_cast<char>(most));
  const FilterPlane* last = planes + n_planes;
  const FilterPlane* whole = planes;
  while (whole != last && whole->is_halved) ++whole;
  std::size_t n_found = 0;
  std::int64_t at = begin;
  for (; at + 128 <= end; at += 128) {
    n_found += filter_128(planes, whole, last, at, limit, found + n_found);
  }
  for (; at + 32 <= end; at += 32) {
    n_found += filter_32(planes, whole, last, at, limit, found + n_found);
  }
  return n_found + filter_portable(planes, n_planes, at, end, most, found + n_found);
}

}  // namespace anybit
#endif

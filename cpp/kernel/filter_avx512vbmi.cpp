// The filter with AVX-512 VBMI: a table of 256 bytes is four registers, looked up by `vpermi2b`.
#include "filter.hpp"

#if defined(__x86_64__)
#include "filter_avx512.hpp"

namespace anybit {
namespace {

inline __m512i look_up_256_in_registers(const std::uint8_t* table, __m512i bytes) {
  const __m512i quarter0 = _mm512_loadu_si512(table);
  const __m512i quarter1 = _mm512_loadu_si512(table + 64);
  const __m512i quarter2 = _mm512_loadu_si512(table + 128);
  const __m512i quarter3 = _mm512_loadu_si512(table + 192);
  // The lower seven bits choose within a half; the top bit between the halves.
  const __m512i lower = _mm512_permutex2var_epi8(quarter0, bytes, quarter1);
  const __m512i upper = _mm512_permutex2var_epi8(quarter2, bytes, quarter3);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), lower, upper);
}

}  // namespace

std::size_t filter_avx512vbmi(const FilterPlane* planes, int n_planes, std::int64_t begin,
                              std::int64_t end, int most, std::int64_t* found) {
  return filter_by_64(planes, n_planes, begin, end, most, found, look_up_256_in_registers);
}

}  // namespace anybit
#endif

// The filter with AVX-512BW: as with AVX2, 64 items at a time.
#include "filter.hpp"

#if defined(__x86_64__)
#include "filter_avx512.hpp"

namespace anybit {
namespace {

inline __m512i look_up_256_in_pieces(const std::uint8_t* table, __m512i bytes) {
  const __m512i low = _mm512_and_si512(bytes, _mm512_set1_epi8(0x0f));
  const __mmask64 bit4 = _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(0x10));
  const __mmask64 bit5 = _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(0x20));
  const __mmask64 bit6 = _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(0x40));
  const __mmask64 bit7 = _mm512_movepi8_mask(bytes);
  const auto two = [&](int number) {
    const __m512i even = _mm512_shuffle_epi8(piece(table, number), low);
    return _mm512_mask_shuffle_epi8(even, bit4, piece(table, number + 1), low);
  };
  const auto four = [&](int number) {
    return _mm512_mask_blend_epi8(bit5, two(number), two(number + 2));
  };
  const auto eight = [&](int number) {
    return _mm512_mask_blend_epi8(bit6, four(number), four(number + 4));
  };
  return _mm512_mask_blend_epi8(bit7, eight(0), eight(8));
}

}  // namespace

std::size_t filter_avx512bw(const FilterPlane* planes, int n_planes, std::int64_t begin,
                            std::int64_t end, int most, std::int64_t* found) {
  return filter_by_64(planes, n_planes, begin, end, most, found, look_up_256_in_pieces);
}

}  // namespace anybit
#endif

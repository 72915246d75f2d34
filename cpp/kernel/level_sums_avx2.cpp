// Compiled for AVX2: a table of 16 entries fills two registers, and eight items are looked up at once.
#include "level_sums.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace anybit {
namespace {

struct Table {
  explicit Table(const float* entries)
      : first(_mm256_loadu_ps(entries)), last(_mm256_loadu_ps(entries + 8)) {}

  // Looks at the lowest four bits of every number.
  __m256 entries_of(__m256i numbers) const {
    const __m256 is_last = _mm256_castsi256_ps(_mm256_slli_epi32(numbers, 28));  // bit 3, as a sign
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(first, numbers),
                            _mm256_permutevar8x32_ps(last, numbers), is_last);
  }

  __m256 first, last;
};

}  // namespace

void add_halves_avx2(const std::uint8_t* bytes, const float* low, const float* high,
                     std::int64_t n_items, float* sums) {
  const Table low_table(low), high_table(high);
  std::int64_t i = 0;
  for (; i + 8 <= n_items; i += 8) {
    const __m256i codes =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + i)));
    __m256 sum = _mm256_loadu_ps(sums + i);
    sum = _mm256_add_ps(sum, low_table.entries_of(codes));
    sum = _mm256_add_ps(sum, high_table.entries_of(_mm256_srli_epi32(codes, 4)));
    _mm256_storeu_ps(sums + i, sum);
  }
  add_halves_portable(bytes + i, low, high, n_items - i, sums + i);
}

}  // namespace anybit
#endif

// The filter with NEON: 16 items at a time, tables in pieces of 64 bytes that `tbl` looks up.
#include "filter.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace anybit {
namespace {

inline uint8x16_t look_up_256(const std::uint8_t* table, uint8x16_t bytes) {
  // `tbl` gives 0 and `tbx` keeps what was there where the index is beyond the piece.
  const uint8x16_t step = vdupq_n_u8(64);
  uint8x16_t index = bytes;
  uint8x16_t entries = vqtbl4q_u8(vld1q_u8_x4(table), index);
  for (int number = 1; number < 4; ++number) {
    index = vsubq_u8(index, step);
    entries = vqtbx4q_u8(entries, vld1q_u8_x4(table + 64 * number), index);
  }
  return entries;
}

}  // namespace

std::size_t filter_neon(const FilterPlane* planes, int n_planes, std::int64_t begin,
                        std::int64_t end, int most, std::int64_t* found) {
  const uint8x16_t half = vdupq_n_u8(0x0f);
  const uint8x16_t limit = vdupq_n_u8(static_cast<std::uint8_t>(most));
  std::size_t n_found = 0;
  std::int64_t at = begin;
  for (; at + 16 <= end; at += 16) {
    uint8x16_t sums = vdupq_n_u8(0);
    for (int number = 0; number < n_planes; ++number) {
      const std::uint8_t* table = planes[number].table;
      const uint8x16_t bytes = vld1q_u8(planes[number].bytes + at);
      if (planes[number].is_halved) {
        sums = vqaddq_u8(sums, vqtbl1q_u8(vld1q_u8(table), vandq_u8(bytes, half)));
        sums = vqaddq_u8(sums, vqtbl1q_u8(vld1q_u8(table + 16), vshrq_n_u8(bytes, 4)));
      } else {
        sums = vqaddq_u8(sums, look_up_256(table, bytes));
      }
    }
    const uint8x16_t is_kept = vcleq_u8(sums, limit);
    if (vmaxvq_u8(is_kept) == 0) continue;  // by far the most frequent
    std::uint8_t kept[16];
    vst1q_u8(kept, is_kept);
    for (int i = 0; i < 16; ++i) {
      found[n_found] = at + i;
      n_found += kept[i] & 1;
    }
  }
  return n_found + filter_portable(planes, n_planes, at, end, most, found + n_found);
}

}  // namespace anybit
#endif

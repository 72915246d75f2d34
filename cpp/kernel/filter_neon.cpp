// The filter with NEON: 16 items at a time, tables in pieces of 64 bytes that `tbl` looks up.
#include "filter.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace anybit {
namespace {

inline uint8x16_t look_up(const FilterLevel& level, std::int64_t at) {
  const uint8x16_t codes = vld1q_u8(level.codes + at);
  if (level.width == 16) return vqtbl1q_u8(vld1q_u8(level.table), codes);
  // `tbl` gives 0 and `tbx` keeps what was there where the index is beyond the piece.
  const uint8x16_t step = vdupq_n_u8(64);
  uint8x16_t index = codes;
  uint8x16_t entries = vqtbl4q_u8(vld1q_u8_x4(level.table), index);
  for (int number = 1; number < 4; ++number) {
    index = vsubq_u8(index, step);
    entries = vqtbx4q_u8(entries, vld1q_u8_x4(level.table + 64 * number), index);
  }
  return entries;
}

}  // namespace

std::size_t filter_neon(const FilterLevel* levels, int n_levels, std::int64_t begin,
                        std::int64_t end, int threshold, std::int64_t* found) {
  const uint16x8_t least = vdupq_n_u16(static_cast<std::uint16_t>(threshold));
  std::size_t n_found = 0;
  std::int64_t at = begin;
  for (; at + 16 <= end; at += 16) {
    uint16x8_t low = vdupq_n_u16(0), high = vdupq_n_u16(0);
    for (int level = 0; level < n_levels; ++level) {
      const uint8x16_t entries = look_up(levels[level], at);
      low = vaddw_u8(low, vget_low_u8(entries));
      high = vaddw_high_u8(high, entries);
    }
    const uint8x16_t is_kept = vcombine_u8(vmovn_u16(vcgeq_u16(low, least)),
                                           vmovn_u16(vcgeq_u16(high, least)));
    if (vmaxvq_u8(is_kept) == 0) continue;
    std::uint8_t kept[16];
    vst1q_u8(kept, is_kept);
    for (int i = 0; i < 16; ++i) {
      found[n_found] = at + i;
      n_found += kept[i] & 1;
    }
  }
  return n_found + filter_portable(levels, n_levels, at, end, threshold, found + n_found);
}

}  // namespace anybit
#endif

#include "level_sums.hpp"

namespace anybit {

void add_halves_portable(const std::uint8_t* bytes, const float* low, const float* high,
                         std::int64_t n_items, float* sums) {
  for (std::int64_t i = 0; i < n_items; ++i) {
    sums[i] = (sums[i] + low[bytes[i] & 15]) + high[bytes[i] >> 4];
  }
}

}  // namespace anybit

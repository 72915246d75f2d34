// The filter in plain C++: the model of the others, and what runs where they cannot.
#include "filter.hpp"

namespace anybit {

std::size_t filter_portable(const FilterPlane* planes, int n_planes, std::int64_t begin,
                            std::int64_t end, int most, std::int64_t* found) {
  constexpr std::int64_t kItems = 256;  // sums of one round, in the first-level cache
  std::uint16_t sums[kItems];
  std::size_t n_found = 0;
  for (std::int64_t start = begin; start < end; start += kItems) {
    const std::int64_t n_items = end - start < kItems ? end - start : kItems;
    for (std::int64_t i = 0; i < n_items; ++i) sums[i] = 0;
    for (int number = 0; number < n_planes; ++number) {
      const std::uint8_t* bytes = planes[number].bytes + start;
      const std::uint8_t* table = planes[number].table;
      if (planes[number].is_halved) {
        for (std::int64_t i = 0; i < n_items; ++i) {
          const int entry = table[bytes[i] & 15] + table[16 + (bytes[i] >> 4)];
          sums[i] = static_cast<std::uint16_t>(sums[i] + entry);
        }
      } else {
        for (std::int64_t i = 0; i < n_items; ++i) {
          sums[i] = static_cast<std::uint16_t>(sums[i] + table[bytes[i]]);
        }
      }
    }
    for (std::int64_t i = 0; i < n_items; ++i) {
      found[n_found] = start + i;  // written always, kept where it counts: no branch to guess
      n_found += sums[i] <= most;
    }
  }
  return n_found;
}

}  // namespace anybit

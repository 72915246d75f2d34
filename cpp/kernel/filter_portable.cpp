// The filter in plain C++: the model of the others, and what runs where they cannot.
#include "filter.hpp"

namespace anybit {

std::size_t filter_portable(const FilterLevel* levels, int n_levels, std::int64_t begin,
                            std::int64_t end, int threshold, std::int64_t* found) {
  constexpr std::int64_t kItems = 256;  // sums of one round, in the first-level cache
  std::uint16_t sums[kItems];
  std::size_t n_found = 0;
  for (std::int64_t start = begin; start < end; start += kItems) {
    const std::int64_t n_items = end - start < kItems ? end - start : kItems;
    for (std::int64_t i = 0; i < n_items; ++i) sums[i] = levels[0].table[levels[0].codes[start + i]];
    for (int level = 1; level < n_levels; ++level) {
      const std::uint8_t* codes = levels[level].codes + start;
      const std::uint8_t* table = levels[level].table;
      for (std::int64_t i = 0; i < n_items; ++i) {
        sums[i] = static_cast<std::uint16_t>(sums[i] + table[codes[i]]);
      }
    }
    for (std::int64_t i = 0; i < n_items; ++i) {
      found[n_found] = start + i;  // written always, kept where it counts: no branch to guess
      n_found += sums[i] >= threshold;
    }
  }
  return n_found;
}

}  // namespace anybit

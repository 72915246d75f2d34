// From a query's float table to the small tables of the filter, so that no good item is dropped.
//
// Let T_m[k] be the entries of level m, d > 0 a step, and t_m = max_k T_m[k]. With
//
//     U_m[k] = clamp(ceil((T_m[k] - b_m) / d), 0, 255),   b_m = t_m - 255 d,
//
// T_m[k] <= b_m + d U_m[k] holds for every k: by the ceiling where nothing is clamped, at the lower
// end because U only grows, and at the upper end because t_m itself gives exactly 255. So the real
// sum S_i of an item's entries obeys S_i <= B + d sum_m U_m[code], B = sum_m b_m. The float32 sum r_i
// differs from S_i by less than e = L 2^-23 sum_m max_k |T_m[k]| (L - 1 additions, each off by a
// relative 2^-24 at most). An item whose value exceeds theta thus has
//
//     sum_m U_m > (theta - e - B) / d =: y,
//
// and the filter keeps all items whose integer sum is at least floor(y). Steps in double precision
// are off by far less than the one unit that floor(y) <= y gives away.
//
// A shift s_i >= floor[bin_i] counts as one more level with entries -floor[bin]. For a factor f_i
// and theta >= 0, (r_i + c) f_i > theta means r_i - theta / f_i > -c with 1 / f_i >= floor[bin_i]:
// one more level with entries -theta floor[bin], made anew as theta grows. For theta < 0 nothing
// is dropped.
#pragma once

#include <cstdint>
#include <vector>

#include "scan.hpp"

namespace anybit {

class Bound {
 public:
  // `table` (L, K) float32 of one query.
  Bound(const Items& items, const float* table, float constant);

  // Sharpens the bound: from now on only values above `theta` matter.
  void raise(float theta);

  const std::vector<FilterLevel>& levels() const { return levels_; }

  // Least integer sum over the first `n_levels` of an item that may matter; 0 keeps all. The
  // levels left out add at most 255 each.
  int threshold(int n_levels) const {
    const int threshold = threshold_ - 255 * (static_cast<int>(levels_.size()) - n_levels);
    return threshold > 0 ? threshold : 0;
  }

 private:
  void set_level(std::size_t level, const double* entries, int n_entries);

  const Items& items_;
  double constant_;
  double step_ = 1.0;  // d
  double per_step_ = 1.0;
  double base_ = 0.0;   // sum of the b_m of the levels proper
  double error_ = 0.0;  // e
  std::vector<std::uint8_t> tables_;  // 256 for each level
  std::vector<double> bases_;         // b_m
  std::vector<FilterLevel> levels_;
  int threshold_ = 0;
};

}  // namespace anybit

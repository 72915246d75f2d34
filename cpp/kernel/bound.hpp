// From a query's float table to the small tables of the filter, so that no good item is dropped.
//
// Let T_m[k] be the entries of level m, t_m = max_k T_m[k], and c_m[k] = t_m - T_m[k] >= 0 what the
// code k costs an item at that level. The real sum S of an item's entries is sum_m t_m minus its
// costs. The float32 sum that ranks it differs from S by less than e = (L + 3) 2^-23 sum_m max_k
// |T_m[k]| (L - 1 additions and two more terms, each off by a relative 2^-24 at most). So a value
// above theta needs
//
//     sum_m c_m[code] < sum_m t_m + constant - theta + e =: w.
//
// With p = 253 / w and the small entries U_m[k] = min(255, floor(p c_m[k])) such an item has
// sum_m U_m < 253 (1 + 2^-21): costs, p and their product are float32, each off by a relative 2^-24.
// The filter keeps sums up to 254, so that a byte that stops at 255 holds a sum: an item that has
// cost more cannot come back, however many levels follow, and levels may be left out at will. As
// theta rises w falls; until tables are made anew, sums up to floor(p w) + 1 are kept.
//
// Codes of up to 4 bits lie two symbols of 4 bits to a byte (see Items); a symbol of several levels
// costs the sum of its levels' costs.
//
// Bins are of equal width v: floor[bin] >= f + v bin = f + v (bin % 16) + 16 v (bin / 16) with one f, so
// that a bin costs the sum of what its two halves cost.
//
// A shift s_i >= floor[bin_i] is one more level with entries -floor[bin]. With a length l_i >=
// floor[bin_i] and theta >= 0, (r_i + c) / l_i > theta means r_i - theta l_i > -c: one more level with
// entries -theta floor[bin], made anew as theta grows. For theta < 0 all are kept.
#pragma once

#include <cstdint>
#include <vector>

#include "scan.hpp"

namespace anybit {

class Bound {
 public:
  // `table` (L, K) float32 of one query.
  Bound(const Items& items, const float* table, float constant);

  // Sharpens the bound: from now on only values above `theta` matter. Before the first call all
  // items do.
  void raise(float theta);

  const std::vector<FilterPlane>& planes() const { return planes_; }

  // Greatest sum, over any of the planes, of an item that may matter: 255 or more keeps all, below
  // 0 none.
  int most() const { return most_; }

 private:
  void make_tables(double allowance);
  void quantise(const float* costs, std::size_t plane, int n_entries);

  const Items& items_;
  double constant_;
  double highest_ = 0.0;  // sum of the t_m
  double error_ = 0.0;    // e
  std::vector<float> costs_;  // of the planes proper, 256 or 2 x 16 for each
  float bin_costs_[32];       // of the bins of a shift, or of a length: times theta; 2 x 16
  double bin_floor_ = 0.0;    // of bin 0, or less: the floors lie on or above a straight line from it
  float per_step_ = 0.0f;   // p; 0 before there are tables
  std::vector<std::uint8_t> tables_;  // 256 for each plane
  std::vector<FilterPlane> planes_;
  int most_ = 255;
};

}  // namespace anybit

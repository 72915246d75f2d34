#include "bound.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace anybit {
namespace {

constexpr int kTable = 256;
constexpr int kHalves = 32;  // two tables of 16
constexpr double kLargest = 1e37;
constexpr double kRounding = 1.0 / (1 << 23);  // twice the unit roundoff of float32
constexpr double kSteps = 253.0;               // of an allowance
constexpr int kFewSteps = 170;  // an allowance worth fewer steps gets tables of its own
constexpr double kLeastAllowance = 1e-35;

struct Ends {
  float least, greatest;  // not a number where an entry is not finite
};

// The least and the greatest of n entries, several at a time: one by one each waits for the other.
Ends ends_of(const float* entries, int n) {
  constexpr int kLanes = 16;
  Ends ends{entries[0], entries[0]};
  float zero = 0.0f;  // times an entry that is not finite: not a number
  int k = 0;
  if (n >= kLanes) {
    float least[kLanes], greatest[kLanes], zeros[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      least[lane] = greatest[lane] = entries[lane];
      zeros[lane] = 0.0f * entries[lane];
    }
    for (k = kLanes; k + kLanes <= n; k += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const float entry = entries[k + lane];
        least[lane] = entry < least[lane] ? entry : least[lane];
        greatest[lane] = entry > greatest[lane] ? entry : greatest[lane];
        zeros[lane] += 0.0f * entry;
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      ends.least = std::min(ends.least, least[lane]);
      ends.greatest = std::max(ends.greatest, greatest[lane]);
      zero += zeros[lane];
    }
  }
  for (; k < n; ++k) {
    ends.least = std::min(ends.least, entries[k]);
    ends.greatest = std::max(ends.greatest, entries[k]);
    zero += 0.0f * entries[k];
  }
  return {ends.least + zero, ends.greatest + zero};
}

// Adds the costs of level number `within` of a symbol, whose codes have `bits` bits, to the costs of
// the 16 symbols.
void add_to_symbols(const float* costs, int within, int bits, float* symbols) {
  const int mask = (1 << bits) - 1;
  for (int symbol = 0; symbol < 16; ++symbol) {
    symbols[symbol] += costs[(symbol >> (within * bits)) & mask];
  }
}

}  // namespace

Bound::Bound(const Items& items, const float* table, float constant)
    : items_(items), constant_(constant) {
  const bool has_bins = items.bins != nullptr;
  const std::size_t n_planes = items.planes.size();
  const PlaneLayout layout = layout_of(items.n_codewords);
  costs_.assign(n_planes * kTable, 0.0f);
  tables_.resize((n_planes + has_bins) * kTable);
  if (has_bins) planes_.push_back({items.bins, &tables_[n_planes * kTable], true});
  for (std::size_t p = 0; p < n_planes; ++p) {
    planes_.push_back({items.planes[p], &tables_[p * kTable], layout.is_halved()});
  }

  double magnitude = std::fabs(constant_);
  for (int m = 0; m < items.n_levels; ++m) {
    const float* entries = table + static_cast<std::ptrdiff_t>(m) * items.n_codewords;
    float* costs = &costs_[static_cast<std::size_t>(m / layout.levels_per_byte) * kTable];
    const Ends ends = ends_of(entries, items.n_codewords);
    float own[kTable];
    float* direct = layout.is_halved() ? own : costs;
    for (int k = 0; k < items.n_codewords; ++k) direct[k] = ends.greatest - entries[k];
    if (layout.is_halved()) {
      const int per_symbol = layout.levels_per_byte / 2;
      const int within = m % layout.levels_per_byte;
      for (int k = items.n_codewords; k < 1 << layout.bits; ++k) own[k] = 0.0f;  // no such code
      add_to_symbols(own, within % per_symbol, layout.bits, costs + 16 * (within / per_symbol));
    }
    highest_ += ends.greatest;
    magnitude += std::max(std::fabs(static_cast<double>(ends.greatest)),
                          std::fabs(static_cast<double>(ends.least)));
  }
  if (has_bins) {
    const Ends floors = ends_of(items.bin_floors, kTable);
    const double width = (static_cast<double>(floors.greatest) - floors.least) / (kTable - 1);
    bin_floor_ = floors.least;
    for (int bin = 0; bin < kTable; ++bin) {
      bin_floor_ = std::min(bin_floor_, items.bin_floors[bin] - width * bin);
    }
    for (int half = 0; half < 16; ++half) {
      bin_costs_[half] = static_cast<float>(width * half);
      bin_costs_[16 + half] = static_cast<float>(width * 16 * half);
    }
    if (items.norm_term == NormTerm::kShift) {
      magnitude += 2 * std::max(std::fabs(static_cast<double>(floors.least)),
                                std::fabs(static_cast<double>(floors.greatest)));
    }
  }
  if (!(magnitude < kLargest)) {
    throw std::overflow_error("the entries of a table must stay far below the range of float32");
  }
  error_ = static_cast<double>(items.n_levels + 3) * kRounding * magnitude;
}

void Bound::quantise(const float* costs, std::size_t plane, int n_entries) {
  const float per_step = per_step_;
  std::uint8_t* table = &tables_[plane * kTable];
  for (int k = 0; k < n_entries; ++k) {
    const float steps = costs[k] * per_step;
    table[k] = static_cast<std::uint8_t>(static_cast<int>(steps < 255.0f ? steps : 255.0f));
  }
}

void Bound::make_tables(double allowance) {
  per_step_ = static_cast<float>(kSteps / std::max(allowance, kLeastAllowance));
  const int n_entries = layout_of(items_.n_codewords).is_halved() ? kHalves : items_.n_codewords;
  for (std::size_t p = 0; p < items_.planes.size(); ++p) {
    quantise(&costs_[p * kTable], p, n_entries);
  }
  if (items_.norm_term == NormTerm::kShift) quantise(bin_costs_, items_.planes.size(), kHalves);
}

void Bound::raise(float theta) {
  double allowance = highest_ + constant_ + error_;
  double slope = 0.0;
  if (items_.norm_term == NormTerm::kShift) {
    allowance -= static_cast<double>(theta) + bin_floor_;
  } else if (items_.norm_term == NormTerm::kDivide) {
    if (!(theta >= 0.0f)) return;  // all are kept
    slope = static_cast<double>(theta) * (1.0 - 4 * kRounding);
    allowance -= slope * bin_floor_;
  } else {
    allowance -= theta;
  }
  if (!(allowance > 0.0)) {
    most_ = -1;
    return;
  }
  double steps = allowance * static_cast<double>(per_step_);
  if (per_step_ == 0.0f || steps < kFewSteps) {
    make_tables(allowance);
    steps = kSteps;
  }
  if (items_.norm_term == NormTerm::kDivide) {
    float costs[kHalves];
    const float own = static_cast<float>(slope);
    for (int half = 0; half < kHalves; ++half) costs[half] = own * bin_costs_[half];
    quantise(costs, items_.planes.size(), kHalves);
  }
  most_ = static_cast<int>(std::min(steps, kSteps)) + 1;
}

}  // namespace anybit

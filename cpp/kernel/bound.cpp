#include "bound.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace anybit {
namespace {

constexpr int kTable = 256;
constexpr double kLargest = 1e37;
constexpr double kRounding = 1.0 / (1 << 23);  // twice the unit roundoff of float32

}  // namespace

Bound::Bound(const Items& items, const float* table, float constant)
    : items_(items), constant_(constant) {
  const std::size_t n_levels = items.planes.size();
  const int n_codewords = items.n_codewords;
  const bool has_bins = items.bins != nullptr;
  const int width = n_codewords <= 16 ? 16 : kTable;
  tables_.resize((n_levels + has_bins) * kTable);
  bases_.resize(n_levels + has_bins);
  for (std::size_t m = 0; m < n_levels; ++m) {
    levels_.push_back({items.planes[m], &tables_[m * kTable], width});
  }
  if (has_bins) levels_.push_back({items.bins, &tables_[n_levels * kTable], kTable});

  double range = 0.0, magnitude = std::fabs(constant_);
  for (std::size_t m = 0; m < n_levels; ++m) {
    const float* entries = table + m * static_cast<std::size_t>(n_codewords);
    const auto [low, high] = std::minmax_element(entries, entries + n_codewords);
    range = std::max(range, static_cast<double>(*high) - *low);
    magnitude += std::max(std::fabs(static_cast<double>(*low)), std::fabs(static_cast<double>(*high)));
  }
  if (items.shift != nullptr) {
    magnitude += std::max(std::fabs(static_cast<double>(items.bin_floors[0])),
                          std::fabs(static_cast<double>(items.bin_floors[kTable - 1]))) *
                 2;
  }
  if (!(magnitude < kLargest)) {
    throw std::overflow_error("the entries of a table must stay far below the range of float32");
  }
  error_ = static_cast<double>(n_levels + 3) * kRounding * magnitude;
  step_ = range > 0.0 ? range / 254.0 : 1.0;
  per_step_ = 1.0 / step_;

  std::vector<double> entries(static_cast<std::size_t>(std::max(n_codewords, kTable)));
  for (std::size_t m = 0; m < n_levels; ++m) {
    std::copy_n(table + m * static_cast<std::size_t>(n_codewords), n_codewords, entries.begin());
    set_level(m, entries.data(), n_codewords);
    base_ += bases_[m];
  }
  if (items.shift != nullptr) {
    for (int bin = 0; bin < kTable; ++bin) entries[bin] = -static_cast<double>(items.bin_floors[bin]);
    set_level(n_levels, entries.data(), kTable);
  }
}

void Bound::set_level(std::size_t level, const double* entries, int n_entries) {
  const double base = *std::max_element(entries, entries + n_entries) - 255.0 * step_;
  std::uint8_t* table = &tables_[level * kTable];
  for (int k = 0; k < n_entries; ++k) {
    const double steps = std::clamp((entries[k] - base) * per_step_, 0.0, 255.0);
    const int whole = static_cast<int>(steps);  // the ceiling, without a call
    table[k] = static_cast<std::uint8_t>(whole + (whole < steps));
  }
  bases_[level] = base;
}

void Bound::raise(float theta) {
  double least = static_cast<double>(theta) - constant_ - error_ - base_;
  if (items_.shift != nullptr) {
    least -= bases_.back();
  } else if (items_.factor != nullptr) {
    if (!(theta >= 0.0f)) {
      threshold_ = 0;
      return;
    }
    const double slope = static_cast<double>(theta) * (1.0 - 4 * kRounding);
    double entries[kTable];
    for (int bin = 0; bin < kTable; ++bin) entries[bin] = -slope * items_.bin_floors[bin];
    set_level(levels_.size() - 1, entries, kTable);
    least = -constant_ - error_ - base_ - bases_.back();
  }
  const double steps = std::floor(least / step_);
  const double most = 255.0 * static_cast<double>(levels_.size());
  threshold_ = static_cast<int>(std::clamp(steps, 0.0, most + 1.0));
}

}  // namespace anybit

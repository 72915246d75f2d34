#include "symmetric.hpp"

#include <algorithm>

#include "ranking.hpp"

namespace anybit {

// Fills `sums` (1, K) where the levels share a block, else (L, K).
void SymmetricTables::add_products(const std::uint8_t* codes, float* sums) const {
  const std::int64_t row_size = books_.n_blocks * n_codewords_;
  if (books_.is_product) {
    for (std::int64_t level = 0; level < n_levels_; ++level) {
      const float* row = pairs_.products + codes[level] * row_size + level * n_codewords_;
      std::copy_n(row, n_codewords_, sums + level * n_codewords_);
    }
  } else {
    const bool is_shared = books_.level_scales != nullptr;
    const std::int64_t size = is_shared ? n_codewords_ : n_levels_ * n_codewords_;
    for (std::int64_t level = 0; level < n_levels_; ++level) {
      const std::int64_t number = (is_shared ? 0 : level * n_codewords_) + codes[level];
      const float* row = pairs_.products + number * row_size;
      const float scale = is_shared ? books_.level_scales[level] : 1.0f;
      if (level == 0) {
        for (std::int64_t i = 0; i < size; ++i) sums[i] = row[i] * scale;
      } else {
        for (std::int64_t i = 0; i < size; ++i) sums[i] += row[i] * scale;
      }
    }
  }
  if (pairs_.offset_products == nullptr) return;
  const std::int64_t n_blocks = books_.level_scales != nullptr ? 1 : n_levels_;
  for (std::int64_t i = 0; i < n_blocks * n_codewords_; ++i) sums[i] += pairs_.offset_products[i];
}

float SymmetricTables::constant_of(const std::uint8_t* codes) const {
  if (pairs_.offset_products == nullptr) return 0.0f;
  float sum = pairs_.sq_offset;
  for (std::int64_t level = 0; level < n_levels_; ++level) {
    const bool is_shared = books_.level_scales != nullptr;
    const std::int64_t block = is_shared ? 0 : level;
    const float scale = is_shared ? books_.level_scales[level] : 1.0f;
    sum += pairs_.offset_products[block * n_codewords_ + codes[level]] * scale;
  }
  return sum;
}

const float* SymmetricTables::of(const std::uint8_t* codes, std::int64_t n_queries,
                                 float* constants, float* squares) {
  const bool is_shared = books_.level_scales != nullptr;
  const std::int64_t table_size = n_levels_ * n_codewords_;
  tables_.resize(static_cast<std::size_t>(n_queries * table_size));
  sums_.resize(static_cast<std::size_t>(n_codewords_));
  for (std::int64_t q = 0; q < n_queries; ++q) {
    const std::uint8_t* own = codes + q * n_levels_;
    float* table = &tables_[static_cast<std::size_t>(q * table_size)];
    add_products(own, is_shared ? sums_.data() : table);
    if (is_shared) {
      for (std::int64_t level = 0; level < n_levels_; ++level) {
        const float scale = books_.level_scales[level];
        float* out = table + level * n_codewords_;
        for (std::int64_t k = 0; k < n_codewords_; ++k) {
          out[k] = sums_[static_cast<std::size_t>(k)] * scale;
        }
      }
    }
    constants[q] = constant_of(own);
    float square = table[own[0]];
    for (std::int64_t level = 1; level < n_levels_; ++level) {
      square += table[level * n_codewords_ + own[level]];
    }
    squares[q] = square + constants[q];
  }
  return tables_.data();
}

}  // namespace anybit

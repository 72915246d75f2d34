// The loop behind every MakeTables; included by files compiled for one instruction set each, so that
// it has internal linkage and uses no templates of the standard library.
#pragma once

#include "tables.hpp"

namespace anybit {
namespace {

// Columns that are summed at once, at most: few enough for registers.
constexpr std::int64_t kColumns = 64;

__attribute__((always_inline)) inline void add_columns(const float* part, const float* block, std::int64_t dim, std::int64_t width,
                        std::int64_t n_columns, float* out) {
  float sums[kColumns];
  for (std::int64_t k = 0; k < n_columns; ++k) sums[k] = part[0] * block[k];
  for (std::int64_t d = 1; d < dim; ++d) {
    const float value = part[d];
    const float* row = block + d * width;
    for (std::int64_t k = 0; k < n_columns; ++k) sums[k] += value * row[k];
  }
  for (std::int64_t k = 0; k < n_columns; ++k) out[k] = sums[k];
}

inline void make_tables(const TableTask& task) {
  for (std::int64_t q = 0; q < task.n_queries; ++q) {
    for (std::int64_t b = 0; b < task.n_blocks; ++b) {
      const float* part = task.queries + q * task.query_stride + b * task.part_stride;
      const float* block = task.blocks + b * task.dim * task.width;
      float* out = task.tables + (q * task.n_blocks + b) * task.width;
      std::int64_t k = 0;
      for (; k + kColumns <= task.width; k += kColumns) {  // constant numbers: unrolled
        add_columns(part, block + k, task.dim, task.width, kColumns, out + k);
      }
      for (; k + 16 <= task.width; k += 16) {
        add_columns(part, block + k, task.dim, task.width, 16, out + k);
      }
      if (k < task.width) {
        add_columns(part, block + k, task.dim, task.width, task.width - k, out + k);
      }
    }
  }
}

}  // namespace
}  // namespace anybit

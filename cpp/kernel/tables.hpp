// Look-up tables: inner products of a query with every codeword, in one fixed order of additions.
#pragma once

#include <cstdint>

namespace anybit {

// What is multiplied. Block b of (dim, width) holds codewords as columns; query q has the part
// `queries + q * query_stride + b * part_stride`, of dim values, for it.
struct TableTask {
  const float* queries;
  std::int64_t n_queries, query_stride, part_stride;
  const float* blocks;  // (n_blocks, dim, width)
  std::int64_t n_blocks, dim, width;
  float* tables;  // (Q, n_blocks, width)
};

// Fills the tables: products are added in the order of dimensions, each rounded to float32, so that
// every instruction set, and NumPy, gives the same bits.
using MakeTables = void (*)(const TableTask&);

void make_tables_portable(const TableTask&);
#if defined(__x86_64__)
void make_tables_avx2(const TableTask&);
#endif

}  // namespace anybit

// From raw queries to the best items and their scores: tables, scan, and the metric's last steps.
#pragma once

#include <cstdint>

#include "dispatch.hpp"
#include "interrupt.hpp"
#include "scan.hpp"
#include "symmetric.hpp"

namespace anybit {

// The score of an item x, larger is closer: <q, x>; -|q - x|^2; or the cosine of both.
enum class Metric { kInnerProduct, kL2, kCosine };

// Codebooks as columns of codewords, so that a query's tables are one pass over memory.
struct CodebookColumns {
  const float* blocks = nullptr;        // (n_blocks, block_dim, n_codewords)
  std::int64_t n_blocks = 0;            // 1 where the levels share one codebook, else at least L
  std::int64_t block_dim = 0;
  const float* level_scales = nullptr;  // (L,) where the levels share one codebook, or null
  const float* rotation = nullptr;      // (D, D), applied to queries first, or null
  const float* offset = nullptr;        // (D,), part of every item, or null
  std::int64_t dim = 0;                 // D, of queries
  bool is_product = false;              // every block looks at its own part of a query
};

// One code length of an index. Nothing is owned.
struct Ranking {
  CodebookColumns codebooks;
  Items items;
  Metric metric = Metric::kInnerProduct;
  const std::int64_t* ids = nullptr;  // (N,), or null: positions
};

// Finds the best k items of each query (Q, D). Values are rounded to float32 after every step, in
// one order of additions, so that every instruction set, and NumPy, gives the same bits.
// `allowed` (N,) is 0 or 1 for each item, or null. `found` (Q, k) gets ids, `scores` (Q, k) theirs.
// Throws std::domain_error where a query is not finite, and as `scan` does.
void best_items(const Ranking& ranking, const float* queries, std::int64_t n_queries,
                std::int64_t k, const std::uint8_t* allowed, int n_threads, const SimdLevel& simd,
                Interrupt& interrupt, std::int64_t* found, float* scores);

// The same for queries of which the codes (Q, L) are compared.
void best_items_of_codes(const Ranking& ranking, const CodewordPairs& pairs,
                         const std::uint8_t* codes, std::int64_t n_queries, std::int64_t k,
                         const std::uint8_t* allowed, int n_threads, const SimdLevel& simd,
                         Interrupt& interrupt, std::int64_t* found, float* scores);

}  // namespace anybit

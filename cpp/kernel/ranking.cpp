#include "ranking.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace anybit {
namespace {

// Queries of one block and thread: their tables (64 x 16 levels x 256 codewords) stay within 1 MiB.
constexpr std::int64_t kBlockQueries = 64;

void check_finite(const float* queries, std::int64_t n_queries, std::int64_t dim) {
  for (std::int64_t q = 0; q < n_queries; ++q) {
    float zero = 0.0f;  // times a value that is not finite: not a number
    for (std::int64_t d = 0; d < dim; ++d) zero += 0.0f * queries[q * dim + d];
    if (zero != 0.0f) {
      throw std::domain_error("queries must be finite, got NaN or infinity in query " +
                              std::to_string(q) + ".");
    }
  }
}

// Products of a and b (dim,), added in order.
float inner_product(const float* a, const float* b, std::int64_t dim) {
  float sum = a[0] * b[0];
  for (std::int64_t d = 1; d < dim; ++d) sum += a[d] * b[d];
  return sum;
}

// The tables of one block of queries, in memory that is used again.
class Tables {
 public:
  Tables(const Ranking& ranking, const SimdLevel& simd)
      : books_(ranking.codebooks),
        n_levels_(ranking.items.n_levels),
        n_codewords_(ranking.items.n_codewords),
        simd_(simd) {}

  // Returns (Q, L, K).
  const float* of(const float* queries, std::int64_t n_queries) {
    const std::int64_t dim = books_.dim;
    if (books_.rotation != nullptr) {
      rotated_.resize(static_cast<std::size_t>(n_queries * dim));
      simd_.make_tables({queries, n_queries, dim, 0, books_.rotation, 1, dim, dim, rotated_.data()});
      queries = rotated_.data();
    }
    const bool is_shared = books_.level_scales != nullptr;
    const std::int64_t n_blocks = is_shared ? 1 : n_levels_;
    const std::int64_t part_stride = books_.is_product ? books_.block_dim : 0;
    products_.resize(static_cast<std::size_t>(n_queries * n_blocks * n_codewords_));
    simd_.make_tables({queries, n_queries, dim, part_stride, books_.blocks, n_blocks,
                       books_.block_dim, n_codewords_, products_.data()});
    if (!is_shared) return products_.data();
    scaled_.resize(static_cast<std::size_t>(n_queries * n_levels_ * n_codewords_));
    float* out = scaled_.data();
    for (std::int64_t q = 0; q < n_queries; ++q) {
      const float* table = &products_[static_cast<std::size_t>(q * n_codewords_)];
      for (std::int64_t level = 0; level < n_levels_; ++level) {
        const float scale = books_.level_scales[level];
        for (std::int64_t code = 0; code < n_codewords_; ++code) *out++ = table[code] * scale;
      }
    }
    return scaled_.data();
  }

 private:
  const CodebookColumns& books_;
  std::int64_t n_levels_, n_codewords_;
  const SimdLevel& simd_;
  std::vector<float> rotated_, products_, scaled_;
};

// Turns what a query's items were ranked by into scores; `square` is the query's squared length.
void finish(Metric metric, float square, float constant, bool has_constant, float* values,
            std::int64_t k) {
  if (metric == Metric::kCosine) {
    const float inverse = square > 0.0f ? 1.0f / std::sqrt(square) : 0.0f;
    for (std::int64_t i = 0; i < k; ++i) values[i] *= inverse;
    return;
  }
  if (has_constant) {
    for (std::int64_t i = 0; i < k; ++i) values[i] += constant;
  }
  if (metric == Metric::kL2) {  // |q - x|^2 = |q|^2 - 2 (<q, x> - |x|^2 / 2)
    for (std::int64_t i = 0; i < k; ++i) values[i] = 2.0f * values[i] - square;
  }
}

// Returns the tables (n, L, K) of n queries from the `first` on; fills their products with the offset
// and with themselves.
using MakeBlock = std::function<const float*(std::int64_t first, std::int64_t n, float* constants,
                                             float* squares)>;

// Where the answer goes, and how many items of each query are asked for.
struct Answer {
  std::int64_t n_queries, k;
  std::int64_t* found;
  float* scores;
};

void scan_blocks(const Ranking& ranking, const MakeBlock& make, const Answer& answer,
                 const std::uint8_t* allowed, int n_threads, const SimdLevel& simd,
                 Interrupt& interrupt) {
  Items items = ranking.items;
  items.allowed = allowed;
  const bool is_cosine = ranking.metric == Metric::kCosine;
  const bool has_offset = ranking.codebooks.offset != nullptr;
  const std::int64_t width = kBlockQueries * std::max(1, n_threads), k = answer.k;
  std::vector<float> constants(static_cast<std::size_t>(width)), squares(constants.size());
  for (std::int64_t first = 0; first < answer.n_queries; first += width) {
    const std::int64_t n_block = std::min(width, answer.n_queries - first);
    Queries asked;
    asked.tables = make(first, n_block, constants.data(), squares.data());
    // Only for the cosine does the constant of a query change the ranking.
    asked.constants = is_cosine && has_offset ? constants.data() : nullptr;
    asked.n_queries = n_block;
    asked.k = k;
    asked.positions = answer.found + first * k;
    asked.values = answer.scores + first * k;
    scan(items, asked, n_threads, simd, interrupt);
    if (interrupt.is_stopped()) return;
    for (std::int64_t q = 0; q < n_block; ++q) {
      const auto at = static_cast<std::size_t>(q);
      finish(ranking.metric, squares[at], constants[at], has_offset, asked.values + q * k, k);
    }
    if (ranking.ids != nullptr) {
      for (std::int64_t i = 0; i < n_block * k; ++i) {
        asked.positions[i] = ranking.ids[asked.positions[i]];
      }
    }
  }
}

}  // namespace

void best_items(const Ranking& ranking, const float* queries, std::int64_t n_queries,
                std::int64_t k, const std::uint8_t* allowed, int n_threads, const SimdLevel& simd,
                Interrupt& interrupt, std::int64_t* found, float* scores) {
  const std::int64_t dim = ranking.codebooks.dim;
  check_finite(queries, n_queries, dim);
  if (k == 0) return;
  const float* offset = ranking.codebooks.offset;
  const bool has_squares = ranking.metric != Metric::kInnerProduct;
  Tables tables(ranking, simd);
  const auto make = [&](std::int64_t first, std::int64_t n, float* constants, float* squares) {
    const float* block = queries + first * dim;
    for (std::int64_t q = 0; q < n; ++q) {
      const float* query = block + q * dim;
      if (offset != nullptr) constants[q] = inner_product(query, offset, dim);
      if (has_squares) squares[q] = inner_product(query, query, dim);
    }
    return tables.of(block, n);
  };
  scan_blocks(ranking, make, {n_queries, k, found, scores}, allowed, n_threads, simd, interrupt);
}

void best_items_of_codes(const Ranking& ranking, const CodewordPairs& pairs,
                         const std::uint8_t* codes, std::int64_t n_queries, std::int64_t k,
                         const std::uint8_t* allowed, int n_threads, const SimdLevel& simd,
                         Interrupt& interrupt, std::int64_t* found, float* scores) {
  if (k == 0) return;
  const int n_levels = ranking.items.n_levels;
  SymmetricTables tables(ranking.codebooks, pairs, n_levels, ranking.items.n_codewords);
  const auto make = [&](std::int64_t first, std::int64_t n, float* constants, float* squares) {
    return tables.of(codes + first * n_levels, n, constants, squares);
  };
  scan_blocks(ranking, make, {n_queries, k, found, scores}, allowed, n_threads, simd, interrupt);
}

}  // namespace anybit

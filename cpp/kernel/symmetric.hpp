// Tables of queries of which the codes are compared: looked up, without a reconstruction.
#pragma once

#include <cstdint>
#include <vector>

namespace anybit {

struct CodebookColumns;

// Inner products of codewords with each other, and with the offset. Nothing is owned.
struct CodewordPairs {
  // (R, n_blocks, K): row r holds the products of one codeword with those of every block. Where the
  // levels are summed, codeword k of block b is row b K + k. In a product, row k holds those of
  // codeword k of each block with its own block.
  const float* products = nullptr;
  const float* offset_products = nullptr;  // (n_blocks, K), or null
  float sq_offset = 0.0f;
};

class SymmetricTables {
 public:
  SymmetricTables(const CodebookColumns& books, const CodewordPairs& pairs, int n_levels,
                  int n_codewords)
      : books_(books), pairs_(pairs), n_levels_(n_levels), n_codewords_(n_codewords) {}

  // Returns the inner products (Q, L, K) of the reconstructions of codes (Q, L) with every codeword.
  // Fills the products of those reconstructions with the offset (0 without one) and with
  // themselves. Levels are added in order, the offset last; NumPy's twin does the same.
  const float* of(const std::uint8_t* codes, std::int64_t n_queries, float* constants,
                  float* squares);

 private:
  void add_products(const std::uint8_t* codes, float* sums) const;
  float constant_of(const std::uint8_t* codes) const;

  const CodebookColumns& books_;
  const CodewordPairs& pairs_;
  std::int64_t n_levels_, n_codewords_;
  std::vector<float> sums_, tables_;
};

}  // namespace anybit

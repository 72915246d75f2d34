// Squared lengths of reconstructions, made when they are asked for: nothing is stored for an item.
#pragma once

#include <cstdint>
#include <vector>

namespace anybit {

// What reconstructions are made of. Nothing is owned.
struct Codewords {
  const float* rows = nullptr;          // (n_blocks, n_codewords, block_dim)
  std::int64_t block_dim = 0;
  const float* level_scales = nullptr;  // (L,) where the levels share one block, or null
  bool is_product = false;              // every block fills dimensions of its own
  const float* offset = nullptr;        // (dim,), added last, or null
  std::int64_t dim = 0;
};

// Reconstructs one item at a time, in memory that is used again.
class NormReader {
 public:
  NormReader(const Codewords& words, int n_levels, int n_codewords)
      : words_(words),
        n_levels_(n_levels),
        n_codewords_(n_codewords),
        x_(static_cast<std::size_t>(words.dim)) {}

  // The squared length of the item with these codes (L,). Levels are added in order, then the
  // offset; squares are added in order, those of dimensions 0, 16, 32, ... apart from those of 1, 17,
  // ..., and these 16 sums in order again: NumPy's twin does the same.
  float sq_norm(const std::uint8_t* codes);

 private:
  const Codewords& words_;
  std::int64_t n_levels_, n_codewords_;
  std::vector<float> x_;
};

}  // namespace anybit

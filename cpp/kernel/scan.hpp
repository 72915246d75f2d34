// Exact scan over level planes: the best k items of every query by asymmetric quantizer distance.
//
// The value of an item is the float32 sum of one table entry per level, added in the order 0..L-1,
// then `+ constant` of the query where there is one, then `- n / 2` or `/ sqrt(n)` with the squared
// length n of the item's reconstruction, where the metric asks for it. Larger is better; equal values go to the lower position. The result is
// the same to the bit for every SIMD level, number of threads and number of queries.
#pragma once

#include <cstdint>
#include <vector>

#include "dispatch.hpp"
#include "interrupt.hpp"
#include "norms.hpp"

namespace anybit {

constexpr int kMostLevels = 1024;  // of a code

// How codes of K codewords lie in planes of bytes: with up to 16 codewords several levels to a byte,
// the first in its lowest bits.
struct PlaneLayout {
  int bits;             // of one code, with its padding: 1, 2, 4 or 8
  int levels_per_byte;

  bool is_halved() const { return bits <= 4; }  // a byte is two symbols of 4 bits
};

inline PlaneLayout layout_of(int n_codewords) {
  const int bits = n_codewords <= 2 ? 1 : n_codewords <= 4 ? 2 : n_codewords <= 16 ? 4 : 8;
  return {bits, 8 / bits};
}

// What an item's squared length n does to its value.
enum class NormTerm {
  kNone,
  kShift,   // - n / 2
  kDivide,  // * (1 / sqrt(n)), or * 0 where n is 0
};

// What is searched. Nothing is copied or owned: planes may be a read-only memory map.
struct Items {
  std::vector<const std::uint8_t*> planes;  // (N,) bytes each, as many as n_levels need
  int n_levels = 0;                         // L
  int n_codewords = 0;                      // K, up to 256
  std::int64_t n_items = 0;                 // N
  const std::uint8_t* allowed = nullptr;    // (N,) 0 or 1, or null: all
  NormTerm norm_term = NormTerm::kNone;
  const Codewords* codewords = nullptr;  // where there is a norm term
  // A bin per item, and for every bin a lower bound of what its items subtract, or are divided by.
  const std::uint8_t* bins = nullptr;   // (N,)
  const float* bin_floors = nullptr;    // (256,)
};

// What is asked, and where the answer goes.
struct Queries {
  const float* tables = nullptr;     // (Q, L, K), finite
  const float* constants = nullptr;  // (Q,) or null
  std::int64_t n_queries = 0;
  std::int64_t k = 0;                // at most the number of allowed items
  std::int64_t* positions = nullptr;  // (Q, k)
  float* values = nullptr;            // (Q, k)
};

// Answers all queries, on `n_threads` threads of its own where that is above 1. Looks at
// `interrupt` every few thousand items and returns early, with an unfinished answer, once it is
// stopped. Throws std::overflow_error where a table has entries so large, or not finite, that sums
// could leave the range of float32.
void scan(const Items& items, const Queries& queries, int n_threads, const SimdLevel& simd,
          Interrupt& interrupt);

}  // namespace anybit

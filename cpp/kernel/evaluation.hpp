// Retrieval measured at several code lengths: one query at a time against the whole database.
#pragma once

#include <cstdint>
#include <vector>

#include "level_sums.hpp"
#include "measure.hpp"
#include "ranking.hpp"

namespace anybit {

// Nothing is owned.
struct Evaluation {
  Items items;
  Metric metric = Metric::kInnerProduct;
  std::vector<int> lengths;         // levels of each code length, ascending
  std::vector<const float*> norms;  // (N,) by length: taken off (l2) or divided by (cosine), or null
  const std::uint64_t* item_labels = nullptr;  // (W, N) a bit for each class
  std::int64_t n_words = 0;                    // W
  MeasureTables tables;
  AddHalves add_halves = add_halves_portable;
};

// What is asked: queries in the order in which their measures are added.
struct EvaluationQueries {
  const float* tables = nullptr;         // (Q, L, K), L the last of the lengths
  const float* constants = nullptr;      // (Q,)
  const std::uint64_t* labels = nullptr;  // (Q, W)
  const float* float_scores = nullptr;   // (Q, N) of uncompressed items, or null
  std::int64_t n_queries = 0;
};

// Adds the measures of all queries to `totals` (lengths, and one more row where there are float
// scores; n_columns). Sums of a length start from those of the length before.
void evaluate(const Evaluation& task, const EvaluationQueries& queries, Measurer& measurer,
              double* totals);

}  // namespace anybit

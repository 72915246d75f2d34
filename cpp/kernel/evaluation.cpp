#include "evaluation.hpp"

namespace anybit {
namespace {

// The number of labels that an item shares with the query.
void count_shared(const Evaluation& task, const std::uint64_t* labels, std::uint32_t* gains) {
  const std::int64_t n_items = task.items.n_items;
  for (std::int64_t i = 0; i < n_items; ++i) gains[i] = 0;
  for (std::int64_t word = 0; word < task.n_words; ++word) {
    const std::uint64_t* own = task.item_labels + word * n_items;
    for (int bit = 0; bit < 64; ++bit) {  // a query has few labels: one pass for each
      if ((labels[word] >> bit & 1) == 0) continue;
      for (std::int64_t i = 0; i < n_items; ++i) {
        gains[i] += static_cast<std::uint32_t>(own[i] >> bit & 1);
      }
    }
  }
}

// Adds the entries of the levels from `level` on, up to `end`, to the sums (N,): of one, or of two that
// make up a byte. Returns the next level.
int add_levels(const Items& items, AddHalves add_halves, const float* table, int level, int end,
               float* sums) {
  const PlaneLayout layout = layout_of(items.n_codewords);
  const std::uint8_t* plane =
      items.planes[static_cast<std::size_t>(level / layout.levels_per_byte)];
  const int within = level % layout.levels_per_byte;
  const float* entries = table + level * items.n_codewords;
  if (layout.bits == 4 && within == 0 && level + 2 <= end) {
    add_halves(plane, entries, entries + items.n_codewords, items.n_items, sums);
    return level + 2;
  }
  const int shift = layout.bits * within, mask = (1 << layout.bits) - 1;
  for (std::int64_t i = 0; i < items.n_items; ++i) sums[i] += entries[(plane[i] >> shift) & mask];
  return level + 1;
}

// Turns sums into scores; terms equal for all items are left out.
const float* scores_of(const Evaluation& task, std::size_t length, float constant,
                       const std::vector<float>& sums, std::vector<float>& scores) {
  const float* norms = task.norms[length];
  switch (task.metric) {
    case Metric::kInnerProduct:
      return sums.data();
    case Metric::kL2:
      for (std::size_t i = 0; i < sums.size(); ++i) scores[i] = sums[i] - norms[i];
      break;
    case Metric::kCosine:
      for (std::size_t i = 0; i < sums.size(); ++i) scores[i] = (sums[i] + constant) / norms[i];
      break;
  }
  return scores.data();
}

}  // namespace

void evaluate(const Evaluation& task, const EvaluationQueries& queries, Measurer& measurer,
              double* totals) {
  const auto n_items = static_cast<std::size_t>(task.items.n_items);
  const std::int64_t n_columns = task.tables.n_columns();
  const int n_levels = task.lengths.back(), n_codewords = task.items.n_codewords;
  std::vector<float> sums(n_items), scores(n_items);
  std::vector<std::uint32_t> gains(n_items);
  for (std::int64_t q = 0; q < queries.n_queries; ++q) {
    count_shared(task, queries.labels + q * task.n_words, gains.data());
    const float* table = queries.tables + q * n_levels * n_codewords;
    double* row = totals;
    sums.assign(n_items, -0.0f);  // plus any value: that value
    int level = 0;
    for (std::size_t length = 0; length < task.lengths.size(); ++length, row += n_columns) {
      while (level < task.lengths[length]) {
        level = add_levels(task.items, task.add_halves, table, level, task.lengths[length],
                           sums.data());
      }
      const float* found = scores_of(task, length, queries.constants[q], sums, scores);
      measurer.add(found, gains.data(), row);
    }
    if (queries.float_scores != nullptr) {
      measurer.add(queries.float_scores + q * task.items.n_items, gains.data(), row);
    }
  }
}

}  // namespace anybit

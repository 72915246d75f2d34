// All measures of one query's ranking, as one row of numbers that can be summed over queries.
//
// The formulas are those of src/anybit/evaluation (measure.py, ties.py, curves.py), which explain
// them; sums run in the order of ranks, in double precision.
#pragma once

#include <cstdint>
#include <vector>

namespace anybit {

enum class Denominator { kFound, kReachable, kDatabase };

// What all queries share. Nothing is owned.
struct MeasureTables {
  std::int64_t n_items = 0;  // N, below 2^32
  std::int64_t at = 0;       // cut-off R of mAP@R
  std::int64_t ndcg_at = 0;
  Denominator denominator = Denominator::kFound;
  const std::int64_t* ranks = nullptr;  // (n_ranks,) of precision and recall, ascending
  std::int64_t n_ranks = 0;
  const double* recall = nullptr;  // (n_recall,) shares at which the curve is read, ascending
  std::int64_t n_recall = 0;
  const double* harmonic = nullptr;       // (N + 1,) 1 + 1/2 + ... + 1/n
  const double* log_factorial = nullptr;  // (N + 1,)
  const double* discounts = nullptr;      // (ndcg_at,) of ranks 1, 2, ...
  const double* discount_sums = nullptr;  // (ndcg_at + 1,)

  static constexpr std::int64_t kScalars = 15;
  std::int64_t n_columns() const { return kScalars + 2 * n_ranks + n_recall; }
};

// Ranks items and measures, in memory that is used again: one for each thread.
class Measurer {
 public:
  explicit Measurer(const MeasureTables& tables);

  // Adds to `row` (n_columns,) the measures of the ranking by `scores` (N,), larger first, equal
  // ones by position; `gains` (N,) is above 0 for relevant items, and below 2^21.
  void add(const float* scores, const std::uint32_t* gains, double* row);

 private:
  // Equal scores of relevant and other items: their order is an accident.
  struct Group {
    std::int64_t before, size, hits_before, hits;
  };
  struct Range {
    double expected, worst, best;
  };

  void sort(const float* scores, const std::uint32_t* gains);
  void insert();
  std::int64_t read_ranking();  // returns how many items tie with others
  void find_groups(std::size_t n_mixed);
  Range shift_of(const Group& group) const;
  Range average_precision(std::int64_t at, Denominator denominator) const;
  Range of_cut_group(const Group& group, std::int64_t at, const Range& bases,
                     Denominator denominator) const;
  std::int64_t hits_within(std::int64_t rank) const;
  std::int64_t divisor(std::int64_t n_found, std::int64_t at, Denominator denominator) const;
  double ndcg() const;

  const MeasureTables& tables_;
  std::vector<std::uint64_t> items_;  // (N,) score turned to a key, then gain
  std::vector<std::uint64_t> spare_;
  std::vector<std::uint32_t> places_;
  std::int64_t n_hits_ = 0;              // h
  std::vector<std::int64_t> hit_ranks_;  // the first h: from 1, ascending
  std::vector<std::uint32_t> hit_gains_;
  std::vector<std::uint32_t> mixed_;  // positions whose item and the next tie, one of them a hit
  std::vector<double> sums_;  // (h + 1,) of the precision at the hits
  std::vector<Group> groups_;
  std::vector<Range> shifts_;  // of the groups: numerators less the default order's
};

}  // namespace anybit

#include "measure.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace anybit {
namespace {

constexpr int kDigitBits = 11;  // of a place; two digits make one
constexpr std::uint32_t kDigits = 1 << kDigitBits;
constexpr std::uint32_t kLastPlace = kDigits * kDigits - 1;
constexpr int kHighDigit = 32 - kDigitBits;  // where the gain's half of an item has room for it
constexpr std::int64_t kMoves = 16;          // of items, on average, before another sort takes over

// The bits of a score, turned so that a larger score is a smaller number.
std::uint32_t key_of(float score) {
  score += 0.0f;  // -0 becomes 0
  std::int32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  return static_cast<std::uint32_t>(bits ^ (~(bits >> 31) & 0x7fffffff));
}

bool is_before(std::uint64_t a, std::uint64_t b) { return a >> 32 < b >> 32; }

// Whether two items have one score.
bool is_equal(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint32_t>(a >> 32) == static_cast<std::uint32_t>(b >> 32);
}

bool is_hit(std::uint64_t item) { return static_cast<std::uint32_t>(item) != 0; }

// The least and the largest of the scores: of every eighth first, which takes no waiting for one another.
std::pair<float, float> extremes_of(const float* scores, std::size_t n_items) {
  constexpr std::size_t kLanes = 8;
  float low[kLanes], high[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) low[lane] = high[lane] = scores[0];
  std::size_t i = 0;
  for (; i + kLanes <= n_items; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float score = scores[i + lane];
      low[lane] = score < low[lane] ? score : low[lane];
      high[lane] = score > high[lane] ? score : high[lane];
    }
  }
  for (; i < n_items; ++i) {
    low[0] = std::min(low[0], scores[i]);
    high[0] = std::max(high[0], scores[i]);
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

}  // namespace

Measurer::Measurer(const MeasureTables& tables)
    : tables_(tables),
      items_(static_cast<std::size_t>(tables.n_items)),
      spare_(static_cast<std::size_t>(tables.n_items)),
      places_(static_cast<std::size_t>(tables.n_items)),
      hit_ranks_(static_cast<std::size_t>(tables.n_items)),
      hit_gains_(static_cast<std::size_t>(tables.n_items)),
      mixed_(static_cast<std::size_t>(tables.n_items)) {}

// A radix sort by place, which is where the score lies between the largest and the least in steps of
// equal width; rounding in float32 leaves places in the order of scores. Few scores share a place:
// a pass of insertions puts them right. Every step keeps the order of equal scores.
void Measurer::sort(const float* scores, const std::uint32_t* gains) {
  const std::size_t n_items = items_.size();
  const auto [low, high] = extremes_of(scores, n_items);
  const float per_step = static_cast<float>(kLastPlace) / (high - low);
  if (std::isfinite(per_step)) {
    const float last = static_cast<float>(kLastPlace);
    for (std::size_t i = 0; i < n_items; ++i) {
      const float place = (high - scores[i]) * per_step;
      places_[i] = static_cast<std::uint32_t>(static_cast<int>(place < last ? place : last));
    }
  } else {  // all alike, or too far apart
    std::fill(places_.begin(), places_.end(), 0);
  }
  std::uint32_t low_counts[kDigits] = {}, high_counts[kDigits] = {};
  for (const std::uint32_t place : places_) {
    ++low_counts[place % kDigits];
    ++high_counts[place / kDigits];
  }
  std::uint32_t low_start = 0, high_start = 0;
  for (std::uint32_t digit = 0; digit < kDigits; ++digit) {
    low_start += std::exchange(low_counts[digit], low_start);
    high_start += std::exchange(high_counts[digit], high_start);
  }
  for (std::size_t i = 0; i < n_items; ++i) {
    const std::uint32_t digit = places_[i] / kDigits;
    spare_[low_counts[places_[i] % kDigits]++] =
        std::uint64_t{key_of(scores[i])} << 32 | digit << kHighDigit | gains[i];
  }
  constexpr std::uint64_t kWithoutDigit = ~(std::uint64_t{kDigits - 1} << kHighDigit);
  for (const std::uint64_t item : spare_) {
    const std::uint32_t digit = static_cast<std::uint32_t>(item) >> kHighDigit;
    items_[high_counts[digit]++] = item & kWithoutDigit;
  }
  insert();
}

void Measurer::insert() {
  std::int64_t n_left = kMoves * static_cast<std::int64_t>(items_.size());
  const auto first = items_.begin();
  for (auto next = first + 1; next < items_.end(); ++next) {
    if (!is_before(*next, next[-1])) continue;
    const std::uint64_t item = *next;
    auto at = next;
    for (; at != first && is_before(item, at[-1]); --at) *at = at[-1];
    *at = item;
    n_left -= next - at;
    if (n_left < 0) {
      std::stable_sort(first, items_.end(), is_before);
      return;
    }
  }
}

// No step branches on an item: what it may have found is written in any case, and counted when it was
// found. Where a block of items holds no equal scores, only the hits are looked for.
std::int64_t Measurer::read_ranking() {
  constexpr std::size_t kBlock = 16;
  const std::size_t n_items = items_.size();
  const std::uint64_t* items = items_.data();
  std::int64_t* ranks = hit_ranks_.data();
  std::uint32_t* gains = hit_gains_.data();
  std::uint32_t* mixed = mixed_.data();
  std::size_t n_hits = 0, n_mixed = 0;
  std::int64_t n_tied = 0;
  bool is_tied = false;  // with the item before
  const auto add_item = [&](std::size_t i) {
    ranks[n_hits] = static_cast<std::int64_t>(i) + 1;
    gains[n_hits] = static_cast<std::uint32_t>(items[i]);
    n_hits += is_hit(items[i]);
  };
  const auto note_ties = [&](std::size_t i) {
    const bool ties_next = is_equal(items[i], items[i + 1]);
    n_tied += is_tied | ties_next;
    is_tied = ties_next;
    mixed[n_mixed] = static_cast<std::uint32_t>(i);
    n_mixed += ties_next & (is_hit(items[i]) != is_hit(items[i + 1]));
  };
  std::size_t begin = 0;
  for (; begin + kBlock < n_items; begin += kBlock) {
    std::uint32_t n_ties = is_tied;
    for (std::size_t i = begin; i < begin + kBlock; ++i) n_ties += is_equal(items[i], items[i + 1]);
    for (std::size_t i = begin; i < begin + kBlock; ++i) add_item(i);
    if (n_ties == 0) continue;
    for (std::size_t i = begin; i < begin + kBlock; ++i) note_ties(i);
  }
  for (std::size_t i = begin; i < n_items; ++i) add_item(i);
  for (std::size_t i = begin; i + 1 < n_items; ++i) note_ties(i);
  n_tied += is_tied;  // the last item
  n_hits_ = static_cast<std::int64_t>(n_hits);
  find_groups(n_mixed);
  return n_tied;
}

// Order changes nothing in a group whose items are all relevant or all irrelevant. The others hold a
// pair of neighbours of which one is relevant.
void Measurer::find_groups(std::size_t n_mixed) {
  groups_.clear();
  const std::size_t n_items = items_.size();
  std::size_t begin, end = 0;
  std::int64_t n_hits = 0;
  const auto pass_hits = [&](std::size_t until) {
    const auto last = static_cast<std::int64_t>(until);
    while (n_hits < n_hits_ && hit_ranks_[static_cast<std::size_t>(n_hits)] <= last) ++n_hits;
    return n_hits;
  };
  for (std::size_t number = 0; number < n_mixed; ++number) {
    if (mixed_[number] < end) continue;  // its group is known
    begin = end = mixed_[number];
    while (begin > 0 && is_equal(items_[begin - 1], items_[end])) --begin;
    do ++end;
    while (end < n_items && is_equal(items_[begin], items_[end]));
    const std::int64_t hits_before = pass_hits(begin), hits = pass_hits(end) - hits_before;
    groups_.push_back({static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end - begin),
                       hits_before, hits});
  }
}

std::int64_t Measurer::hits_within(std::int64_t rank) const {
  const auto begin = hit_ranks_.begin();
  return std::upper_bound(begin, begin + n_hits_, rank) - begin;
}

std::int64_t Measurer::divisor(std::int64_t n_found, std::int64_t at,
                               Denominator denominator) const {
  if (denominator == Denominator::kFound) return n_found;
  return denominator == Denominator::kReachable ? std::min(at, n_hits_) : n_hits_;
}

namespace {

// The numerators of a group: `before` items and `hits_before` hits come first, `hits` of `size` are
// relevant. In the mean over all orders, with the relevant ones first, and with them last.
double expected_of(const double* harmonic, std::int64_t before, std::int64_t size,
                   std::int64_t hits_before, std::int64_t hits) {
  const double inverse_ranks = harmonic[before + size] - harmonic[before];
  const double steps = static_cast<double>(size) - static_cast<double>(before + 1) * inverse_ranks;
  const double pair = static_cast<double>(hits - 1) /
                      static_cast<double>(std::max<std::int64_t>(size - 1, 1));
  return static_cast<double>(hits) / static_cast<double>(size) *
         (static_cast<double>(hits_before + 1) * inverse_ranks + pair * steps);
}

double best_of(const double* harmonic, std::int64_t before, std::int64_t hits_before,
               std::int64_t hits) {
  const double inverse_ranks = harmonic[before + hits] - harmonic[before];
  return static_cast<double>(hits) + static_cast<double>(hits_before - before) * inverse_ranks;
}

double worst_of(const double* harmonic, std::int64_t before, std::int64_t size,
                std::int64_t hits_before, std::int64_t hits) {
  return best_of(harmonic, before + size - hits, hits_before, hits);
}

}  // namespace

Measurer::Range Measurer::shift_of(const Group& group) const {
  const auto [before, size, hits_before, hits] = group;
  const double own = sums_[static_cast<std::size_t>(hits_before + hits)] -
                     sums_[static_cast<std::size_t>(hits_before)];
  return {expected_of(tables_.harmonic, before, size, hits_before, hits) - own,
          worst_of(tables_.harmonic, before, size, hits_before, hits) - own,
          best_of(tables_.harmonic, before, hits_before, hits) - own};
}

Measurer::Range Measurer::average_precision(std::int64_t at, Denominator denominator) const {
  Range bases{0.0, 0.0, 0.0};
  for (std::size_t number = 0; number < groups_.size(); ++number) {
    const Group& group = groups_[number];
    if (group.before >= at) break;
    if (group.before + group.size > at) return of_cut_group(group, at, bases, denominator);
    bases.expected += shifts_[number].expected;
    bases.worst += shifts_[number].worst;
    bases.best += shifts_[number].best;
  }
  const std::int64_t n_found = hits_within(at);
  const auto by = static_cast<double>(divisor(n_found, at, denominator));
  if (by == 0.0) return {0.0, 0.0, 0.0};
  const double sum = sums_[static_cast<std::size_t>(n_found)];
  return {(bases.expected + sum) / by, (bases.worst + sum) / by, (bases.best + sum) / by};
}

// Rank `at` lies inside the group: how many hits come before it is hypergeometric.
Measurer::Range Measurer::of_cut_group(const Group& group, std::int64_t at, const Range& bases,
                                       Denominator denominator) const {
  const auto [before, size, hits_before, hits] = group;
  const std::int64_t drawn = at - before;
  const std::int64_t least = std::max<std::int64_t>(0, drawn - (size - hits));
  const std::int64_t most = std::min(drawn, hits);
  const double* log = tables_.log_factorial;
  const double sum = sums_[static_cast<std::size_t>(hits_before)];
  Range found{0.0, INFINITY, -INFINITY};
  double total = 0.0;
  for (std::int64_t x = least; x <= most; ++x) {
    const double weight =
        std::exp((log[hits] - log[x] - log[hits - x]) +
                 (log[size - hits] - log[drawn - x] - log[size - hits - drawn + x]) -
                 (log[size] - log[drawn] - log[size - drawn]));
    const auto by = static_cast<double>(divisor(hits_before + x, at, denominator));
    const auto divided = [by](double value) { return by > 0.0 ? value / by : 0.0; };
    const double* harmonic = tables_.harmonic;
    total += weight;
    found.expected +=
        weight *
        divided(sum + (bases.expected + expected_of(harmonic, before, drawn, hits_before, x)));
    found.worst = std::min(
        found.worst,
        divided(sum + (bases.worst + worst_of(harmonic, before, drawn, hits_before, x))));
    found.best = std::max(
        found.best, divided(sum + (bases.best + best_of(harmonic, before, hits_before, x))));
  }
  found.expected /= total;
  return found;
}

double Measurer::ndcg() const {
  const std::int64_t n_gains = hits_within(tables_.ndcg_at);
  double gained = 0.0;
  std::uint32_t largest = 0;
  const auto first = hit_gains_.begin(), last = first + n_hits_;
  for (auto gain = first; gain != last; ++gain) largest = std::max(largest, *gain);
  for (std::int64_t i = 0; i < n_gains; ++i) {
    const auto at = static_cast<std::size_t>(i);
    gained += hit_gains_[at] * tables_.discounts[hit_ranks_[at] - 1];
  }
  double ideal = 0.0;
  std::int64_t end = 0;  // of the ranks that are taken, in the best order
  for (std::uint32_t gain = largest; gain > 0 && end < tables_.ndcg_at; --gain) {
    const auto count = std::count(first, last, gain);
    const std::int64_t stop = std::min<std::int64_t>(end + count, tables_.ndcg_at);
    ideal += gain * (tables_.discount_sums[stop] - tables_.discount_sums[end]);
    end = stop;
  }
  return gained / ideal;
}

void Measurer::add(const float* scores, const std::uint32_t* gains, double* row) {
  sort(scores, gains);
  row[12] += static_cast<double>(read_ranking()) / static_cast<double>(items_.size());
  const std::int64_t n_relevant = n_hits_;
  if (n_relevant == 0) return;
  sums_.assign(1, 0.0);
  for (std::int64_t i = 0; i < n_relevant; ++i) {
    const auto at = static_cast<std::size_t>(i);
    sums_.push_back(sums_.back() + static_cast<double>(i + 1) / static_cast<double>(hit_ranks_[at]));
  }
  shifts_.clear();
  for (const Group& group : groups_) shifts_.push_back(shift_of(group));

  const std::int64_t n_found = hits_within(tables_.at);
  const double numerator = sums_[static_cast<std::size_t>(n_found)];
  const auto all = static_cast<double>(n_relevant);
  row[0] += numerator / static_cast<double>(std::max<std::int64_t>(n_found, 1));
  row[1] += numerator / static_cast<double>(std::min(tables_.at, n_relevant));
  row[2] += numerator / all;
  row[3] += sums_.back() / all;
  row[4] += sums_[static_cast<std::size_t>(hits_within(n_relevant))] / all;
  const Range at = average_precision(tables_.at, tables_.denominator);
  row[5] += at.expected, row[6] += at.worst, row[7] += at.best;
  const Range full = average_precision(tables_.n_items, Denominator::kDatabase);
  row[8] += full.expected, row[9] += full.worst, row[10] += full.best;
  row[11] += ndcg();
  row[13] += n_found > 0 ? 1.0 : 0.0;
  row[14] += 1.0;
  double* precision = row + MeasureTables::kScalars;
  double* recall = precision + tables_.n_ranks;
  double* curve = recall + tables_.n_ranks;
  for (std::int64_t i = 0; i < tables_.n_ranks; ++i) {
    const auto found = static_cast<double>(hits_within(tables_.ranks[i]));
    precision[i] += found / static_cast<double>(tables_.ranks[i]);
    recall[i] += found / all;
  }
  for (std::int64_t i = 0; i < tables_.n_recall; ++i) {
    // The small subtraction keeps 0.07 * 100, which is 7.000000000000001, at seven hits.
    const double needed = std::max(1.0, std::ceil(tables_.recall[i] * all - 1e-9));
    if (needed > all) continue;
    curve[i] += needed / static_cast<double>(hit_ranks_[static_cast<std::size_t>(needed) - 1]);
  }
}

}  // namespace anybit

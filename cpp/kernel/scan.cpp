#include "scan.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "best.hpp"
#include "bound.hpp"

namespace anybit {
namespace {

// Items that all queries of a tile look at before the next ones: their codes stay in the cache.
constexpr std::int64_t kBlockItems = 16384;
// Queries of one tile: their tables stay in the cache, too. Fewer where each holds many candidates.
constexpr std::int64_t kTileQueries = 16;
constexpr std::int64_t kTileCandidates = 1 << 18;

// One query on its way through the items.
class Running {
 public:
  Running(const Items& items, const float* table, const float* constant, std::int64_t k,
          const SimdLevel& simd)
      : items_(items),
        table_(table),
        constant_(constant),
        best_(k, items.n_items),
        bound_(items, table, constant == nullptr ? 0.0f : *constant),
        simd_(simd),
        bits_(layout_of(items.n_codewords).bits),
        n_filtered_(n_planes()) {
    if (items.norm_term != NormTerm::kNone) {
      norms_.emplace(*items.codewords, items.n_levels, items.n_codewords);
    }
  }

  // Goes over the items in [begin, end); must be called in the order of positions.
  void look_at(std::int64_t begin, std::int64_t end, std::vector<std::int64_t>& found) {
    std::int64_t at = begin;
    while (at < end && !is_raised()) {  // until there are k: every item counts
      const std::int64_t stop = std::min(end, at + kFirstItems);
      n_seen_ += stop - at;
      for (; at < stop; ++at) score(at);
      raise();
    }
    while (at < end) {
      // The threshold rises ever more slowly: it is looked at whenever a quarter more has gone by.
      const std::int64_t stop = std::min(end, at + std::max(kFirstItems, n_seen_ / 4));
      if (bound_.most() < 0) return;  // no item left can be among the best
      if (n_chunks_ == next_choice_) choose_planes(at, stop, found);
      const std::size_t n_found = filter(n_filtered_, at, stop, found);
      for (std::size_t i = 0; i < n_found; ++i) score(found[i]);
      raise();
      n_seen_ += stop - at;
      at = stop;
      ++n_chunks_;
    }
  }

  Best& best() { return best_; }

 private:
  static constexpr std::int64_t kFirstItems = 64;
  static constexpr std::int64_t kSampleItems = 256;
  static constexpr int kMostChunks = 16;  // between two choices

  bool is_raised() const { return theta_ > -std::numeric_limits<float>::infinity(); }

  void raise() {
    best_.tighten();
    if (best_.threshold() > theta_) bound_.raise(theta_ = best_.threshold());
  }

  int n_planes() const { return static_cast<int>(bound_.planes().size()); }

  std::size_t filter(int n_filtered, std::int64_t begin, std::int64_t end,
                     std::vector<std::int64_t>& found) const {
    return simd_.filter(bound_.planes().data(), n_filtered, begin, end, bound_.most(),
                        found.data());
  }

  // Chooses by how many planes to filter: with the first ones alone more items are left to score,
  // but where the codes fall into classes most are hopeless after one or two. Tried on a sample,
  // seldom, and at first often, while the threshold still rises.
  void choose_planes(std::int64_t begin, std::int64_t end, std::vector<std::int64_t>& found) {
    end = std::min(end, begin + kSampleItems);
    const float scoring =
        (4.0f + static_cast<float>(items_.n_levels)) / static_cast<float>(end - begin);
    float filtering = 0.0f;
    for (const FilterPlane& plane : bound_.planes()) filtering += cost_of(plane);
    float least = std::numeric_limits<float>::infinity();
    for (int n_filtered = n_planes(); n_filtered >= 1; --n_filtered) {
      const float left = scoring * static_cast<float>(filter(n_filtered, begin, end, found));
      if (filtering + left < least) least = filtering + left, n_filtered_ = n_filtered;
      if (left > least) break;  // fewer planes leave more items still
      filtering -= cost_of(bound_.planes()[static_cast<std::size_t>(n_filtered - 1)]);
    }
    next_choice_ = n_chunks_ + std::min(kMostChunks, n_chunks_);
  }

  float cost_of(const FilterPlane& plane) const {
    return plane.is_halved ? simd_.cost_halved : simd_.cost_256;
  }

  // The sum of the levels' entries, in their order, for codes of kBits bits.
  template <int kBits>
  float sum_as(std::int64_t i) const {
    constexpr int kPerByte = 8 / kBits;
    constexpr unsigned kMask = (1u << kBits) - 1;
    const float* entries = table_;
    float sum = -0.0f;  // plus any value: that value
    int n_left = items_.n_levels;
    for (const std::uint8_t* plane : items_.planes) {
      unsigned byte = plane[i];
      for (int n = std::min(n_left, kPerByte); n > 0; --n) {
        sum += entries[byte & kMask];
        entries += items_.n_codewords;
        byte >>= kBits;
      }
      n_left -= kPerByte;
    }
    return sum;
  }

  float sum_of(std::int64_t i) const {
    switch (bits_) {
      case 1: return sum_as<1>(i);
      case 2: return sum_as<2>(i);
      case 4: return sum_as<4>(i);
      default: return sum_as<8>(i);
    }
  }

  void score(std::int64_t i) {
    if (items_.allowed != nullptr && items_.allowed[i] == 0) return;
    float value = sum_of(i);
    if (constant_ != nullptr) value += *constant_;
    if (norms_) {
      if (!may_be_better(value, i)) return;
      value = with_norm(value, sq_norm(i));
    }
    best_.add(value, i);
  }

  // Whether an item could beat the threshold with the least norm of its bin, which is there already:
  // to make its own takes far longer. Rounding keeps the order of differences; for quotients it is
  // off by less than the slack.
  bool may_be_better(float sum, std::int64_t i) const {
    constexpr float kSlack = 1e-6f;
    const float theta = best_.threshold(), floor = items_.bin_floors[items_.bins[i]];
    if (items_.norm_term == NormTerm::kShift) return sum - floor > theta;
    return !(theta > 0.0f) || sum >= theta * floor * (1.0f - kSlack);
  }

  float with_norm(float sum, float sq_norm) const {
    if (items_.norm_term == NormTerm::kShift) return sum - sq_norm * 0.5f;
    return sum * (sq_norm > 0.0f ? 1.0f / std::sqrt(sq_norm) : 0.0f);
  }

  // Unpacks the codes of an item, and asks for its squared length.
  float sq_norm(std::int64_t i) {
    const PlaneLayout layout = layout_of(items_.n_codewords);
    std::uint8_t codes[kMostLevels];
    const unsigned mask = (1u << layout.bits) - 1;
    for (int m = 0; m < items_.n_levels; ++m) {
      const int byte = items_.planes[static_cast<std::size_t>(m / layout.levels_per_byte)][i];
      const int shift = layout.bits * (m % layout.levels_per_byte);
      codes[m] = static_cast<std::uint8_t>(static_cast<unsigned>(byte >> shift) & mask);
    }
    return norms_->sq_norm(codes);
  }

  const Items& items_;
  const float* table_;
  const float* constant_;
  Best best_;
  Bound bound_;
  const SimdLevel& simd_;
  int bits_;             // of a code in its byte
  int n_filtered_;       // planes that the filter looks at
  std::int64_t n_seen_ = 0;                 // items gone by
  int n_chunks_ = 0;                        // chunks filtered so far
  int next_choice_ = 4;                     // chunk before which to choose again
  float theta_ = -std::numeric_limits<float>::infinity();
  std::optional<NormReader> norms_;
};

// A range of queries over a range of items.
struct Part {
  std::int64_t first_query, last_query, begin, end;
};

// Answers one part; the best candidates of each query go to `take`, in order.
void scan_part(const Items& items, const Queries& queries, const Part& part, const SimdLevel& simd,
               Interrupt& interrupt,
               const std::function<void(std::int64_t, const std::vector<Scored>&)>& take) {
  const std::size_t table_size =
      static_cast<std::size_t>(items.n_levels) * static_cast<std::size_t>(items.n_codewords);
  std::vector<std::int64_t> found(kBlockItems);
  const std::int64_t tile = std::clamp<std::int64_t>(kTileCandidates / queries.k, 1, kTileQueries);
  for (std::int64_t first = part.first_query; first < part.last_query; first += tile) {
    const std::int64_t last = std::min(part.last_query, first + tile);
    std::vector<std::unique_ptr<Running>> running;
    for (std::int64_t q = first; q < last; ++q) {
      running.push_back(std::make_unique<Running>(
          items, queries.tables + static_cast<std::size_t>(q) * table_size,
          queries.constants == nullptr ? nullptr : queries.constants + q, queries.k, simd));
    }
    for (std::int64_t begin = part.begin; begin < part.end; begin += kBlockItems) {
      if (interrupt.is_stopped()) return;
      const std::int64_t end = std::min(part.end, begin + kBlockItems);
      for (auto& query : running) query->look_at(begin, end, found);
    }
    for (std::int64_t q = first; q < last; ++q) {
      Running& query = *running[static_cast<std::size_t>(q - first)];
      take(q, query.best().sorted());
    }
  }
}

void write(const Queries& queries, std::int64_t q, const std::vector<Scored>& best) {
  for (std::size_t i = 0; i < best.size(); ++i) {
    queries.positions[q * queries.k + static_cast<std::int64_t>(i)] = best[i].position;
    queries.values[q * queries.k + static_cast<std::int64_t>(i)] = best[i].value;
  }
}

// Runs `work(0)` to `work(n - 1)` on as many threads; an exception of one is thrown again here.
void run_on_threads(int n, const std::function<void(int)>& work) {
  std::exception_ptr failure;
  std::mutex mutex;
  const auto guarded = [&](int number) {
    try {
      work(number);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int number = 1; number < n; ++number) {
    try {
      threads.emplace_back(guarded, number);
    } catch (const std::system_error&) {
      guarded(number);  // no more threads to be had: the work is done here
    }
  }
  guarded(0);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

void scan(const Items& items, const Queries& queries, int n_threads, const SimdLevel& simd,
          Interrupt& interrupt) {
  if (queries.n_queries == 0 || queries.k == 0) return;
  const auto direct = [&](std::int64_t q, const std::vector<Scored>& best) {
    write(queries, q, best);
  };
  if (n_threads <= 1) {
    scan_part(items, queries, {0, queries.n_queries, 0, items.n_items}, simd, interrupt, direct);
    return;
  }
  if (queries.n_queries >= n_threads) {
    run_on_threads(n_threads, [&](int number) {
      const Part part{queries.n_queries * number / n_threads,
                      queries.n_queries * (number + 1) / n_threads, 0, items.n_items};
      scan_part(items, queries, part, simd, interrupt, direct);
    });
  } else {  // few queries: the items are shared out, and the best of all parts put together
    std::vector<std::vector<Scored>> merged(static_cast<std::size_t>(queries.n_queries));
    std::mutex mutex;
    run_on_threads(n_threads, [&](int number) {
      const Part part{0, queries.n_queries, items.n_items * number / n_threads,
                      items.n_items * (number + 1) / n_threads};
      scan_part(
          items, queries, part, simd, interrupt, [&](std::int64_t q, const std::vector<Scored>& best) {
            const std::lock_guard<std::mutex> lock(mutex);
            auto& all = merged[static_cast<std::size_t>(q)];
            all.insert(all.end(), best.begin(), best.end());
          });
    });
    if (interrupt.is_stopped()) return;
    for (std::int64_t q = 0; q < queries.n_queries; ++q) {
      auto& all = merged[static_cast<std::size_t>(q)];
      std::sort(all.begin(), all.end(), is_better);
      all.resize(std::min(all.size(), static_cast<std::size_t>(queries.k)));
      write(queries, q, all);
    }
  }
}

}  // namespace anybit

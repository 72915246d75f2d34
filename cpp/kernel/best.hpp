// The best k of a stream of values that comes in the order of positions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace anybit {

struct Scored {
  float value;
  std::int64_t position;
};

inline bool is_better(const Scored& a, const Scored& b) {
  return a.value > b.value || (a.value == b.value && a.position < b.position);
}

// With a small k the candidates are kept in order, so that the threshold is always sharp. With a
// larger one up to 2 k are held, and the worse half is thrown away when it is full: a constant time
// per candidate on average, whatever k is.
class Best {
 public:
  // No more than `n_items` will be added.
  Best(std::int64_t k, std::int64_t n_items)
      : k_(static_cast<std::size_t>(k)),
        is_ordered_(k <= kFew),
        most_(is_ordered_ ? k_ : std::max<std::size_t>(2 * k_, k_ + 64)) {
    held_.reserve(std::min(most_, static_cast<std::size_t>(n_items)));
  }

  // The value that a further item must exceed; items come by position, so that an equal one loses.
  float threshold() const { return threshold_; }

  void add(float value, std::int64_t position) {
    if (is_full_ && !(value > threshold_)) return;
    if (is_ordered_) {
      insert({value, position});
      return;
    }
    held_.push_back({value, position});
    if (held_.size() == (is_full_ ? most_ : k_)) shrink();
  }

  // Makes the threshold as sharp as what was added allows.
  void tighten() {
    if (held_.size() > k_) shrink();
  }

  // The best, in order. Fewer than k only if fewer were added.
  const std::vector<Scored>& sorted() {
    tighten();
    if (!is_ordered_) std::sort(held_.begin(), held_.end(), is_better);
    return held_;
  }

 private:
  static constexpr std::int64_t kFew = 64;

  void insert(Scored item) {
    if (is_full_) {
      held_.back() = item;
    } else {
      held_.push_back(item);
    }
    std::size_t at = held_.size() - 1;
    for (; at > 0 && item.value > held_[at - 1].value; --at) held_[at] = held_[at - 1];
    held_[at] = item;
    if (held_.size() == k_) {
      threshold_ = held_.back().value;
      is_full_ = true;
    }
  }

  void shrink() {
    const auto last = held_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(held_.begin(), last, held_.end(), is_better);
    held_.resize(k_);
    threshold_ = held_.back().value;
    is_full_ = true;
  }

  std::size_t k_;
  bool is_ordered_;   // whether held_ is
  std::size_t most_;  // candidates before the worse ones are thrown away
  std::vector<Scored> held_;
  bool is_full_ = false;
  float threshold_ = -std::numeric_limits<float>::infinity();
};

}  // namespace anybit

// How a long call is told to stop.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

namespace anybit {

// Asks `poll` now and then, in the thread that made it; all threads see the answer.
class Interrupt {
 public:
  explicit Interrupt(std::function<bool()> poll) : poll_(std::move(poll)) {}

  bool is_stopped() {
    if (poll_ && std::this_thread::get_id() == owner_) {
      const auto now = std::chrono::steady_clock::now();
      if (now - asked_ > std::chrono::milliseconds(50)) {
        asked_ = now;
        if (poll_()) stopped_.store(true, std::memory_order_relaxed);
      }
    }
    return stopped_.load(std::memory_order_relaxed);
  }

 private:
  std::function<bool()> poll_;
  std::thread::id owner_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
  std::atomic<bool> stopped_{false};
};

}  // namespace anybit

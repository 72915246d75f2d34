#include "norms.hpp"

namespace anybit {

float NormReader::sq_norm(const std::uint8_t* codes) {
  constexpr std::int64_t kLanes = 16;
  const std::int64_t block_dim = words_.block_dim;
  float* x = x_.data();
  for (std::int64_t level = 0; level < n_levels_; ++level) {
    const bool is_shared = words_.level_scales != nullptr;
    const std::int64_t block = is_shared ? 0 : level;
    const float* row = words_.rows + (block * n_codewords_ + codes[level]) * block_dim;
    const float scale = is_shared ? words_.level_scales[level] : 1.0f;
    if (words_.is_product) {
      for (std::int64_t d = 0; d < block_dim; ++d) x[level * block_dim + d] = row[d];
    } else if (level == 0) {
      for (std::int64_t d = 0; d < block_dim; ++d) x[d] = row[d] * scale;
    } else {
      for (std::int64_t d = 0; d < block_dim; ++d) x[d] += row[d] * scale;
    }
  }
  if (words_.offset != nullptr) {
    for (std::int64_t d = 0; d < words_.dim; ++d) x[d] += words_.offset[d];
  }
  float lanes[kLanes] = {};
  std::int64_t d = 0;
  for (; d + kLanes <= words_.dim; d += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += x[d + lane] * x[d + lane];
  }
  for (std::int64_t lane = 0; d + lane < words_.dim; ++lane) {
    lanes[lane] += x[d + lane] * x[d + lane];
  }
  float sum = lanes[0];
  for (std::int64_t lane = 1; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

}  // namespace anybit

#include "dispatch.hpp"

namespace anybit {

std::vector<SimdLevel> available_simd_levels() {
  std::vector<SimdLevel> levels;
#if defined(__x86_64__)
  __builtin_cpu_init();  // asks CPUID, and whether the system saves the wide registers
  const bool has_bw = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  if (has_bw && __builtin_cpu_supports("avx512vbmi")) {
    levels.push_back(
        {"avx512vbmi", filter_avx512vbmi, make_tables_avx2, add_halves_avx2, 0.02f, 0.03f});
  }
  if (has_bw) {
    levels.push_back({"avx512bw", filter_avx512bw, make_tables_avx2, add_halves_avx2, 0.02f, 0.12f});
  }
  if (__builtin_cpu_supports("avx2")) {
    levels.push_back({"avx2", filter_avx2, make_tables_avx2, add_halves_avx2, 0.05f, 0.2f});
  }
#elif defined(__aarch64__)
  levels.push_back({"neon", filter_neon, make_tables_portable, add_halves_portable, 0.08f, 0.25f});
#endif
  levels.push_back(
      {"portable", filter_portable, make_tables_portable, add_halves_portable, 0.7f, 0.7f});
  return levels;
}

}  // namespace anybit

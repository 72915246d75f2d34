// Tests of the kernel without Python, for sanitizers, emulators and older processors.
//
// Every filter against a plain loop, and the scan against a full sort; random, tied and edge cases.
// Prints what ran; the exit status is 1 after a failure.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernel/best.hpp"
#include "kernel/scan.hpp"

namespace {

using anybit::FilterLevel;
using anybit::SimdLevel;

int n_failures = 0;

void check(bool is_true, const std::string& what) {
  if (is_true) return;
  std::printf("FAILED: %s\n", what.c_str());
  ++n_failures;
}

// The levels to test: those of this processor, and with emulation all that were compiled.
std::vector<SimdLevel> levels_to_test() {
#ifdef ANYBIT_EMULATED
  return {{"avx512vbmi", anybit::filter_avx512vbmi, anybit::make_tables_avx2, 0.02f, 0.03f},
          {"avx512bw", anybit::filter_avx512bw, anybit::make_tables_avx2, 0.02f, 0.12f},
          {"avx2", anybit::filter_avx2, anybit::make_tables_avx2, 0.05f, 0.2f},
          {"portable", anybit::filter_portable, anybit::make_tables_portable, 0.7f, 0.7f}};
#else
  return anybit::available_simd_levels();
#endif
}

std::vector<std::uint8_t> bytes(std::size_t size, int below, std::mt19937& random) {
  std::vector<std::uint8_t> values(size);
  for (auto& value : values) value = static_cast<std::uint8_t>(random() % static_cast<unsigned>(below));
  return values;
}

void test_filter(const SimdLevel& simd, int n_levels, int width, std::int64_t n_items,
                 std::mt19937& random) {
  std::vector<std::vector<std::uint8_t>> codes, tables;
  std::vector<FilterLevel> levels;
  for (int level = 0; level < n_levels; ++level) {
    const int own = level + 1 == n_levels && random() % 2 ? 256 : width;  // a last level of bins
    codes.push_back(bytes(static_cast<std::size_t>(n_items), own, random));
    tables.push_back(bytes(static_cast<std::size_t>(own), 256, random));
    if (random() % 8 == 0) std::fill(tables.back().begin(), tables.back().end(), 255);
    levels.push_back({nullptr, nullptr, own});
  }
  for (int level = 0; level < n_levels; ++level) {
    levels[static_cast<std::size_t>(level)].codes = codes[static_cast<std::size_t>(level)].data();
    levels[static_cast<std::size_t>(level)].table = tables[static_cast<std::size_t>(level)].data();
  }
  for (const int threshold : {0, 1, 100 * n_levels, 190 * n_levels, 255 * n_levels, 255 * n_levels + 1}) {
    const std::int64_t begin = n_items > 3 ? static_cast<std::int64_t>(random() % 3) : 0;
    std::vector<std::int64_t> expected, found(static_cast<std::size_t>(n_items - begin));
    for (std::int64_t i = begin; i < n_items; ++i) {
      int sum = 0;
      for (const FilterLevel& level : levels) sum += level.table[level.codes[i]];
      if (sum >= threshold) expected.push_back(i);
    }
    const std::size_t n_found =
        simd.filter(levels.data(), n_levels, begin, n_items, threshold, found.data());
    found.resize(n_found);
    check(found == expected, simd.name + " filter, " + std::to_string(n_levels) + " levels of " +
                                 std::to_string(width) + ", " + std::to_string(n_items) +
                                 " items, threshold " + std::to_string(threshold));
  }
}

void test_scan(const SimdLevel& simd, int n_levels, int n_codewords, std::int64_t n_items,
               std::int64_t k, int n_threads, bool is_tied, std::mt19937& random) {
  const std::int64_t n_queries = 3;
  std::normal_distribution<float> normal;
  std::vector<float> tables(static_cast<std::size_t>(n_queries * n_levels * n_codewords));
  for (float& entry : tables) entry = is_tied ? static_cast<float>(random() % 3) : normal(random);
  const auto codes = bytes(static_cast<std::size_t>(n_levels * n_items), n_codewords, random);
  anybit::Items items;
  for (int level = 0; level < n_levels; ++level) items.planes.push_back(codes.data() + level * n_items);
  items.n_codewords = n_codewords;
  items.n_items = n_items;
  std::vector<std::uint8_t> allowed(static_cast<std::size_t>(n_items), 1);
  if (random() % 2) {
    for (auto& one : allowed) one = random() % 4 != 0;
    items.allowed = allowed.data();
  }
  k = std::min<std::int64_t>(k, std::accumulate(allowed.begin(), allowed.end(), std::int64_t{0}));
  std::vector<std::int64_t> positions(static_cast<std::size_t>(n_queries * k));
  std::vector<float> values(static_cast<std::size_t>(n_queries * k));
  anybit::Queries queries;
  queries.tables = tables.data();
  queries.n_queries = n_queries;
  queries.k = k;
  queries.positions = positions.data();
  queries.values = values.data();
  anybit::Interrupt interrupt(nullptr);
  anybit::scan(items, queries, n_threads, simd, interrupt);
  for (std::int64_t q = 0; q < n_queries; ++q) {
    std::vector<anybit::Scored> all;
    for (std::int64_t i = 0; i < n_items; ++i) {
      if (!allowed[static_cast<std::size_t>(i)]) continue;
      const float* table = tables.data() + q * n_levels * n_codewords;
      float value = table[items.planes[0][i]];
      for (int level = 1; level < n_levels; ++level) {
        value += table[level * n_codewords + items.planes[static_cast<std::size_t>(level)][i]];
      }
      all.push_back({value, i});
    }
    std::sort(all.begin(), all.end(), anybit::is_better);
    bool is_same = true;
    for (std::int64_t i = 0; i < k; ++i) {
      const auto at = static_cast<std::size_t>(q * k + i);
      const auto& expected = all[static_cast<std::size_t>(i)];
      is_same &= positions[at] == expected.position && values[at] == expected.value;
    }
    check(is_same, simd.name + " scan, " + std::to_string(n_levels) + " levels of " +
                       std::to_string(n_codewords) + ", " + std::to_string(n_items) +
                       " items, k " + std::to_string(k) + ", threads " +
                       std::to_string(n_threads));
  }
}

void test_tables(const SimdLevel& simd, std::int64_t dim, std::int64_t width,
                 std::mt19937& random) {
  const std::int64_t n_queries = 3, n_blocks = 4;
  std::normal_distribution<float> normal;
  std::vector<float> queries(static_cast<std::size_t>(n_queries * n_blocks * dim));
  std::vector<float> blocks(static_cast<std::size_t>(n_blocks * dim * width));
  for (float& value : queries) value = normal(random);
  for (float& value : blocks) value = normal(random);
  std::vector<float> tables(static_cast<std::size_t>(n_queries * n_blocks * width));
  for (const std::int64_t part_stride : {std::int64_t{0}, dim}) {
    simd.make_tables({queries.data(), n_queries, n_blocks * dim, part_stride, blocks.data(),
                      n_blocks, dim, width, tables.data()});
    bool is_same = true;
    for (std::int64_t q = 0; q < n_queries; ++q) {
      for (std::int64_t b = 0; b < n_blocks; ++b) {
        for (std::int64_t k = 0; k < width; ++k) {
          const float* part = queries.data() + q * n_blocks * dim + b * part_stride;
          const float* column = blocks.data() + b * dim * width + k;
          volatile float sum = part[0] * column[0];
          for (std::int64_t d = 1; d < dim; ++d) {
            const volatile float product = part[d] * column[d * width];
            sum = sum + product;
          }
          is_same &= tables[static_cast<std::size_t>((q * n_blocks + b) * width + k)] == sum;
        }
      }
    }
    check(is_same, simd.name + " tables, " + std::to_string(dim) + " x " + std::to_string(width));
  }
}

}  // namespace

int main() {
  std::mt19937 random(1);
  for (const SimdLevel& simd : levels_to_test()) {
    for (int n_levels = 1; n_levels <= 17; ++n_levels) {
      for (const int width : {16, 256}) {
        for (const std::int64_t n_items : {0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 300, 1000}) {
          test_filter(simd, n_levels, width, n_items, random);
        }
      }
    }
    for (const int n_levels : {1, 3, 4, 8, 16}) {
      for (const int n_codewords : {2, 16, 32, 256}) {
        for (const std::int64_t n_items : {1, 100, 5000, 20000}) {
          for (const std::int64_t k : {1, 10, 1000}) {
            const bool is_tied = random() % 2;
            test_scan(simd, n_levels, n_codewords, n_items, k, random() % 3 ? 1 : 3, is_tied, random);
          }
        }
      }
    }
    for (const std::int64_t dim : {1, 2, 37, 128}) {
      for (const std::int64_t width : {2, 16, 64, 100, 256}) test_tables(simd, dim, width, random);
    }
    std::printf("%s: done\n", simd.name.c_str());
  }
  return n_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

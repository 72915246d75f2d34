// Tests of the kernel without Python, for sanitizers, emulators and older processors.
//
// Every filter against a plain loop, the scan and the ranking of an evaluation against a full sort;
// random, tied and edge cases.
// Prints what ran; the exit status is 1 after a failure.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernel/best.hpp"
#include "kernel/evaluation.hpp"
#include "kernel/ranking.hpp"
#include "kernel/scan.hpp"

namespace {

using anybit::FilterPlane;
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
  using namespace anybit;
  return {{"avx512vbmi", filter_avx512vbmi, make_tables_avx2, add_halves_avx2, 0.02f, 0.03f},
          {"avx512bw", filter_avx512bw, make_tables_avx2, add_halves_avx2, 0.02f, 0.12f},
          {"avx2", filter_avx2, make_tables_avx2, add_halves_avx2, 0.05f, 0.2f},
          {"portable", filter_portable, make_tables_portable, add_halves_portable, 0.7f, 0.7f}};
#else
  return anybit::available_simd_levels();
#endif
}

std::vector<std::uint8_t> bytes(std::size_t size, int below, std::mt19937& random) {
  std::vector<std::uint8_t> values(size);
  for (auto& value : values) value = static_cast<std::uint8_t>(random() % static_cast<unsigned>(below));
  return values;
}

int entry_of(const FilterPlane& plane, std::int64_t i) {
  const int byte = plane.bytes[i];
  return plane.is_halved ? plane.table[byte & 15] + plane.table[16 + (byte >> 4)] : plane.table[byte];
}

void test_filter(const SimdLevel& simd, int n_planes, bool is_halved, std::int64_t n_items,
                 std::mt19937& random) {
  std::vector<std::vector<std::uint8_t>> values, tables;
  std::vector<FilterPlane> planes;
  for (int number = 0; number < n_planes; ++number) {
    const bool is_last = number + 1 == n_planes && random() % 2;  // a last plane of bins
    values.push_back(bytes(static_cast<std::size_t>(n_items), 256, random));
    tables.push_back(bytes(256, 1 + static_cast<int>(random() % 256), random));
    if (random() % 8 == 0) std::fill(tables.back().begin(), tables.back().end(), 255);
    planes.push_back({nullptr, nullptr, is_halved && !is_last});
  }
  for (std::size_t number = 0; number < planes.size(); ++number) {
    planes[number].bytes = values[number].data();
    planes[number].table = tables[number].data();
  }
  for (const int most : {0, 1, 100, 200, 253, 254}) {
    const std::int64_t begin = n_items > 3 ? static_cast<std::int64_t>(random() % 3) : 0;
    std::vector<std::int64_t> expected, found(static_cast<std::size_t>(n_items - begin));
    for (std::int64_t i = begin; i < n_items; ++i) {
      int sum = 0;
      for (const FilterPlane& plane : planes) sum += entry_of(plane, i);
      if (sum <= most) expected.push_back(i);
    }
    const std::size_t n_found =
        simd.filter(planes.data(), n_planes, begin, n_items, most, found.data());
    found.resize(n_found);
    check(found == expected, simd.name + " filter, " + std::to_string(n_planes) + " planes, " +
                                 std::to_string(n_items) + " items, at most " +
                                 std::to_string(most));
  }
}

// Level planes (L, N) put into planes of bytes.
std::vector<std::vector<std::uint8_t>> packed(const std::vector<std::uint8_t>& codes, int n_levels,
                                              std::int64_t n_items, int n_codewords) {
  const anybit::PlaneLayout layout = anybit::layout_of(n_codewords);
  std::vector<std::vector<std::uint8_t>> planes;
  for (int level = 0; level < n_levels; ++level) {
    const int within = level % layout.levels_per_byte;
    if (within == 0) planes.emplace_back(static_cast<std::size_t>(n_items));
    for (std::size_t i = 0; i < planes.back().size(); ++i) {
      const int code = codes[static_cast<std::size_t>(level * n_items) + i];
      planes.back()[i] = static_cast<std::uint8_t>(planes.back()[i] | code << (within * layout.bits));
    }
  }
  return planes;
}

void test_scan(const SimdLevel& simd, int n_levels, int n_codewords, std::int64_t n_items,
               std::int64_t k, int n_threads, bool is_tied, std::mt19937& random) {
  const std::int64_t n_queries = 3;
  std::normal_distribution<float> normal;
  std::vector<float> tables(static_cast<std::size_t>(n_queries * n_levels * n_codewords));
  for (float& entry : tables) entry = is_tied ? static_cast<float>(random() % 3) : normal(random);
  const auto codes = bytes(static_cast<std::size_t>(n_levels * n_items), n_codewords, random);
  const auto planes = packed(codes, n_levels, n_items, n_codewords);
  anybit::Items items;
  for (const auto& plane : planes) items.planes.push_back(plane.data());
  items.n_levels = n_levels;
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
      float value = table[codes[static_cast<std::size_t>(i)]];
      for (int level = 1; level < n_levels; ++level) {
        value += table[level * n_codewords + codes[static_cast<std::size_t>(level * n_items + i)]];
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

// Precision at every rank against a full sort: a wrong order anywhere shows.
void test_measurer(std::int64_t n_items, int kind, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> scores(static_cast<std::size_t>(n_items));
  std::vector<std::uint32_t> gains(scores.size());
  for (float& score : scores) {
    score = normal(random);
    if (kind == 1) score = std::round(score * 2);    // ties, and zeros of both signs
    if (kind == 2) score = score * 1e-30f - 1.0f;    // all alike
    if (kind == 3 && random() % 64 == 0) score *= 1e30f;  // nearly all in one place
  }
  for (auto& gain : gains) gain = random() % 4 == 0 ? 1 + random() % 3 : 0;
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  const auto size = static_cast<std::size_t>(n_items);
  std::vector<std::int64_t> ranks(size);
  std::iota(ranks.begin(), ranks.end(), 1);
  std::vector<double> harmonic(size + 1), logs(size + 1), discounts(1, 1.0), discount_sums{0.0, 1.0};
  for (std::size_t n = 1; n <= size; ++n) {
    harmonic[n] = harmonic[n - 1] + 1.0 / static_cast<double>(n);
    logs[n] = logs[n - 1] + std::log(static_cast<double>(n));
  }
  anybit::MeasureTables tables;
  tables.n_items = n_items;
  tables.at = (n_items + 1) / 2;
  tables.ndcg_at = 1;
  tables.ranks = ranks.data();
  tables.n_ranks = n_items;
  tables.harmonic = harmonic.data();
  tables.log_factorial = logs.data();
  tables.discounts = discounts.data();
  tables.discount_sums = discount_sums.data();
  std::vector<double> row(static_cast<std::size_t>(tables.n_columns()));
  anybit::Measurer measurer(tables);
  for (int round = 1; round <= 2; ++round) {  // the memory is used again
    measurer.add(scores.data(), gains.data(), row.data());
    bool is_same = true;
    double n_found = 0.0;
    for (std::size_t rank = 0; rank < size; ++rank) {
      n_found += gains[order[rank]] != 0;
      const double found = row[anybit::MeasureTables::kScalars + rank] / round;
      is_same &= std::fabs(found - n_found / static_cast<double>(rank + 1)) < 1e-12;
    }
    if (n_found > 0) {
      check(is_same, "ranking of " + std::to_string(n_items) + ", kind " + std::to_string(kind));
      check(row[6] <= row[5] + 1e-9 && row[5] <= row[7] + 1e-9, "worst <= expected <= best");
    }
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

// Tables of codes against plain loops over all pairs of levels.
void test_symmetric(int n_levels, int n_codewords, bool is_shared, bool is_product,
                    std::mt19937& random) {
  const std::int64_t n_queries = 5, n_blocks = is_shared ? 1 : n_levels;
  const std::int64_t n_rows = is_product ? n_codewords : n_blocks * n_codewords;
  std::normal_distribution<float> normal;
  std::vector<float> products(static_cast<std::size_t>(n_rows * n_blocks * n_codewords));
  std::vector<float> with_offset(static_cast<std::size_t>(n_blocks * n_codewords));
  std::vector<float> scales(static_cast<std::size_t>(n_levels), 1.0f);
  for (float& value : products) value = normal(random);
  for (float& value : with_offset) value = normal(random);
  if (is_shared) {
    for (float& value : scales) value = normal(random);
  }
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n_queries * n_levels));
  for (auto& code : codes) {
    code = static_cast<std::uint8_t>(random() % static_cast<unsigned>(n_codewords));
  }
  anybit::CodebookColumns books;
  books.n_blocks = n_blocks;
  books.level_scales = is_shared ? scales.data() : nullptr;
  books.is_product = is_product;
  const anybit::CodewordPairs pairs{products.data(), with_offset.data(), 2.5f};
  anybit::SymmetricTables tables(books, pairs, n_levels, n_codewords);
  std::vector<float> constants(n_queries), squares(n_queries);
  const float* found = tables.of(codes.data(), n_queries, constants.data(), squares.data());
  const auto block_of = [&](int level) { return is_shared ? 0 : level; };
  bool is_same = true;
  for (std::int64_t q = 0; q < n_queries; ++q) {
    const std::uint8_t* own = codes.data() + q * n_levels;
    volatile float constant = 2.5f, square = 0.0f;
    for (int m = 0; m < n_levels; ++m) {
      const auto scale = scales[static_cast<std::size_t>(m)];
      for (int k = 0; k < n_codewords; ++k) {
        volatile float sum = 0.0f;
        for (int other = 0; other < n_levels; ++other) {
          if (is_product && other != m) continue;
          const std::int64_t row = (is_product ? 0 : block_of(other) * n_codewords) + own[other];
          const std::int64_t at = (row * n_blocks + block_of(m)) * n_codewords + k;
          const volatile float term = products[static_cast<std::size_t>(at)] *
                                      scales[static_cast<std::size_t>(other)];
          sum = sum + term;
        }
        sum = sum + with_offset[static_cast<std::size_t>(block_of(m) * n_codewords + k)];
        const volatile float entry = sum * scale;
        is_same &= found[(q * n_levels + m) * n_codewords + k] == entry;
        if (k == own[m]) square = square + entry;
      }
      const volatile float term =
          with_offset[static_cast<std::size_t>(block_of(m) * n_codewords + own[m])] * scale;
      constant = constant + term;
    }
    square = square + constant;
    const auto at = static_cast<std::size_t>(q);
    is_same &= constants[at] == constant && squares[at] == square;
  }
  check(is_same, "symmetric tables, " + std::to_string(n_levels) + " levels of " +
                     std::to_string(n_codewords) + (is_shared ? ", shared" : "") +
                     (is_product ? ", product" : ""));
}

void test_level_sums(const SimdLevel& simd, std::int64_t n_items, std::mt19937& random) {
  std::normal_distribution<float> normal;
  const auto size = static_cast<std::size_t>(n_items);
  std::vector<float> low(16), high(16), sums(size), expected(size);
  for (float& value : low) value = normal(random);
  for (float& value : high) value = normal(random);
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::uint8_t>(random());
    sums[i] = normal(random);
    volatile float sum = sums[i] + low[bytes[i] & 15];
    expected[i] = sum + high[bytes[i] >> 4];
  }
  simd.add_halves(bytes.data(), low.data(), high.data(), n_items, sums.data());
  check(sums == expected, simd.name + " level sums of " + std::to_string(n_items));
}

}  // namespace

int main() {
  std::mt19937 random(1);
  for (const SimdLevel& simd : levels_to_test()) {
    for (int n_planes = 1; n_planes <= 17; ++n_planes) {
      for (const bool is_halved : {true, false}) {
        for (const std::int64_t n_items : {0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 300, 1000}) {
          test_filter(simd, n_planes, is_halved, n_items, random);
        }
      }
    }
    for (std::int64_t n_items = 0; n_items < 40; ++n_items) test_level_sums(simd, n_items, random);
    for (const int n_levels : {1, 3, 4, 8, 16}) {
      for (const int n_codewords : {2, 4, 16, 32, 256}) {
        for (const std::int64_t n_items : {1, 100, 5000, 20000}) {
          for (const std::int64_t k : {1, 10, 1000}) {
            const bool is_tied = random() % 2;
            test_scan(simd, n_levels, n_codewords, n_items, k, random() % 3 ? 1 : 3, is_tied, random);
          }
        }
      }
    }
    for (const int n_levels : {17, 64, 256, anybit::kMostLevels}) {
      for (const int n_codewords : {2, 4, 16, 256}) {
        test_scan(simd, n_levels, n_codewords, 3000, 10, 1, random() % 2, random);
      }
    }
    for (const std::int64_t dim : {1, 2, 37, 128}) {
      for (const std::int64_t width : {2, 16, 64, 100, 256}) test_tables(simd, dim, width, random);
    }
    std::printf("%s: done\n", simd.name.c_str());
  }
  for (const int n_levels : {1, 3, 17}) {
    for (const int n_codewords : {2, 16, 256}) {
      test_symmetric(n_levels, n_codewords, false, false, random);
      test_symmetric(n_levels, n_codewords, true, false, random);
      test_symmetric(n_levels, n_codewords, false, true, random);
    }
  }
  for (int kind = 0; kind < 4; ++kind) {
    for (const std::int64_t n_items : {1, 2, 100, 3000}) test_measurer(n_items, kind, random);
  }
  return n_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

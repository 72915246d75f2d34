// The Python module `anybit.search._kernel`: checks arrays, releases the interpreter, calls scan.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel/scan.hpp"

namespace nb = nanobind;

namespace {

template <typename T, typename... Shape>
using In = nb::ndarray<const T, nb::numpy, nb::device::cpu, nb::c_contig, Shape...>;
using Floats = In<float, nb::ndim<1>>;
using Bytes = In<std::uint8_t, nb::ndim<1>>;
using Planes = nb::ndarray<const std::uint8_t, nb::numpy, nb::device::cpu, nb::ndim<2>>;

void require(bool is_true, const std::string& message) {
  if (!is_true) throw std::invalid_argument(message);
}

template <typename Array>
const auto* data_of(const std::optional<Array>& array, std::size_t size, const char* name) {
  if (!array) return static_cast<decltype(array->data())>(nullptr);
  require(array->size() == size, std::string(name) + " must have " + std::to_string(size) +
                                     " entries, got " + std::to_string(array->size()) + ".");
  return array->data();
}

// A NumPy array that owns `values`.
template <typename T>
auto owned(std::unique_ptr<T[]> values, std::initializer_list<std::size_t> shape) {
  T* data = values.release();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::ndarray<nb::numpy, T>(data, shape, owner);
}

anybit::SimdLevel level_named(const std::string& name) {
  for (const anybit::SimdLevel& level : anybit::available_simd_levels()) {
    if (level.name == name) return level;
  }
  throw std::invalid_argument("simd must be a level of this processor, got " + name + ".");
}

nb::tuple scan(In<float, nb::ndim<3>> tables, Planes planes, std::int64_t k,
               std::optional<In<bool, nb::ndim<1>>> allowed, std::optional<Floats> constants,
               std::optional<Floats> shift, std::optional<Floats> factor,
               std::optional<Bytes> bins, std::optional<Floats> bin_floors, int n_threads,
               const std::string& simd) {
  const std::size_t n_queries = tables.shape(0), n_levels = tables.shape(1);
  const std::size_t n_codewords = tables.shape(2), n_items = planes.shape(1);
  require(n_levels >= 1 && n_levels <= 16,
          "tables must have 1 to 16 levels, got " + std::to_string(n_levels) + ".");
  require(n_codewords >= 1 && n_codewords <= 256,
          "tables must have 1 to 256 codewords, got " + std::to_string(n_codewords) + ".");
  require(planes.shape(0) == n_levels,
          "planes must have one row per level of the tables (" + std::to_string(n_levels) +
              "), got " + std::to_string(planes.shape(0)) + ".");
  require(n_items <= 1 || planes.stride(1) == 1, "the rows of planes must be contiguous.");
  require(k >= 0 && static_cast<std::size_t>(k) <= n_items,
          "k must be from 0 to the number of items, got " + std::to_string(k) + ".");
  require(n_threads >= 1, "n_threads must be at least 1, got " + std::to_string(n_threads) + ".");
  require(!(shift && factor), "shift and factor exclude each other.");
  require((shift || factor) == bins.has_value() && bins.has_value() == bin_floors.has_value(),
          "bins and bin_floors must come with shift or factor, and only then.");

  anybit::Items items;
  for (std::size_t level = 0; level < n_levels; ++level) {
    items.planes.push_back(planes.data() + static_cast<std::int64_t>(level) * planes.stride(0));
  }
  items.n_codewords = static_cast<int>(n_codewords);
  items.n_items = static_cast<std::int64_t>(n_items);
  items.allowed = reinterpret_cast<const std::uint8_t*>(data_of(allowed, n_items, "allowed"));
  items.shift = data_of(shift, n_items, "shift");
  items.factor = data_of(factor, n_items, "factor");
  items.bins = data_of(bins, n_items, "bins");
  items.bin_floors = data_of(bin_floors, 256, "bin_floors");

  const anybit::SimdLevel level = level_named(simd);

  const std::size_t size = n_queries * static_cast<std::size_t>(k);
  auto positions = std::make_unique<std::int64_t[]>(size);
  auto values = std::make_unique<float[]>(size);
  anybit::Queries queries;
  queries.tables = tables.data();
  queries.constants = data_of(constants, n_queries, "constants");
  queries.n_queries = static_cast<std::int64_t>(n_queries);
  queries.k = k;
  queries.positions = positions.get();
  queries.values = values.get();

  bool has_signal = false;
  anybit::Interrupt interrupt([&] {
    const nb::gil_scoped_acquire hold;
    has_signal = PyErr_CheckSignals() != 0;
    return has_signal;
  });
  anybit::ScanCounts counts;
  {
    const nb::gil_scoped_release release;
    counts = anybit::scan(items, queries, n_threads, level, interrupt);
  }
  if (has_signal) throw nb::python_error();
  const auto width = static_cast<std::size_t>(k);
  return nb::make_tuple(owned(std::move(positions), {n_queries, width}),
                        owned(std::move(values), {n_queries, width}), counts.n_scored);
}

nb::ndarray<nb::numpy, float> tables(In<float, nb::ndim<3>> queries,
                                     In<float, nb::ndim<3>> blocks, const std::string& simd) {
  const std::size_t n_queries = queries.shape(0), n_parts = queries.shape(1);
  const std::size_t n_blocks = blocks.shape(0), dim = blocks.shape(1), width = blocks.shape(2);
  require(n_parts == 1 || n_parts == n_blocks,
          "queries must have one part, or one for each block, got " + std::to_string(n_parts) +
              " for " + std::to_string(n_blocks) + ".");
  require(queries.shape(2) == dim && dim >= 1, "queries must have the dimension of the blocks, " +
                                                   std::to_string(dim) + ", got " +
                                                   std::to_string(queries.shape(2)) + ".");
  const anybit::SimdLevel level = level_named(simd);
  std::unique_ptr<float[]> values(new float[n_queries * n_blocks * width]);
  const auto signed_of = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  const anybit::TableTask task{queries.data(),
                               signed_of(n_queries),
                               signed_of(n_parts * dim),
                               n_parts == 1 ? 0 : signed_of(dim),
                               blocks.data(),
                               signed_of(n_blocks),
                               signed_of(dim),
                               signed_of(width),
                               values.get()};
  {
    const nb::gil_scoped_release release;
    level.make_tables(task);
  }
  return owned(std::move(values), {n_queries, n_blocks, width});
}

}  // namespace

NB_MODULE(_kernel, module) {
  module.doc() = "Exact scan over level planes, compiled (see anybit.search).";
  module.def("scan", &scan, nb::arg("tables").noconvert(), nb::arg("planes").noconvert(),
             nb::arg("k"), nb::kw_only(), nb::arg("allowed").noconvert() = nb::none(),
             nb::arg("constants").noconvert() = nb::none(),
             nb::arg("shift").noconvert() = nb::none(),
             nb::arg("factor").noconvert() = nb::none(), nb::arg("bins").noconvert() = nb::none(),
             nb::arg("bin_floors").noconvert() = nb::none(), nb::arg("n_threads") = 1,
             nb::arg("simd") = "portable",
             "Return positions (Q, k), values (Q, k) and the number of items scored exactly.");
  module.def("tables", &tables, nb::arg("queries").noconvert(), nb::arg("blocks").noconvert(),
             nb::arg("simd") = "portable",
             "Return inner products (Q, B, K) of query parts (Q, 1 or B, d) with blocks (B, d, K).");
  module.def("simd_levels", [] {
    std::vector<std::string> names;
    for (const anybit::SimdLevel& level : anybit::available_simd_levels()) {
      names.push_back(level.name);
    }
    return names;
  }, "Return the instruction sets that this processor can run, fastest first.");
}

// The Python module `anybit.search._kernel`: checks arrays, releases the interpreter, calls the
// kernel.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel/evaluation.hpp"
#include "kernel/ranking.hpp"

namespace nb = nanobind;

namespace {

template <typename T, typename... Shape>
using In = nb::ndarray<const T, nb::numpy, nb::device::cpu, nb::c_contig, Shape...>;
template <typename T>
using Rows = In<T, nb::ndim<1>>;
using Matrix = In<float, nb::ndim<2>>;
using Blocks = In<float, nb::ndim<3>>;
template <typename T>
using Out = nb::ndarray<T, nb::numpy, nb::device::cpu, nb::c_contig, nb::ndim<2>>;
using Out3 = nb::ndarray<float, nb::numpy, nb::device::cpu, nb::c_contig, nb::ndim<3>>;
using Planes = nb::ndarray<const std::uint8_t, nb::numpy, nb::device::cpu, nb::ndim<2>>;

void require(bool is_true, const std::string& message) {
  if (!is_true) throw std::invalid_argument(message);
}

template <typename Array>
const auto* data_of(const Array& array, std::size_t size, const char* name) {
  require(array.size() == size, std::string(name) + " must have " + std::to_string(size) +
                                    " entries, got " + std::to_string(array.size()) + ".");
  return array.data();
}

template <typename Array>
const auto* data_of(const std::optional<Array>& array, std::size_t size, const char* name) {
  return array ? data_of(*array, size, name) : static_cast<decltype(array->data())>(nullptr);
}

const std::vector<anybit::SimdLevel>& simd_levels() {
  static const std::vector<anybit::SimdLevel> levels = anybit::available_simd_levels();
  return levels;
}

const anybit::SimdLevel& level_named(const std::string& name) {
  for (const anybit::SimdLevel& level : simd_levels()) {
    if (level.name == name) return level;
  }
  throw std::invalid_argument("simd must be a level of this processor, got " + name + ".");
}

anybit::Metric metric_named(const std::string& name) {
  if (name == "ip") return anybit::Metric::kInnerProduct;
  if (name == "l2") return anybit::Metric::kL2;
  if (name == "cosine") return anybit::Metric::kCosine;
  throw std::invalid_argument("metric must be ip, l2 or cosine, got " + name + ".");
}

// Points `items` at codes of `n_levels`, after a look at their shape.
void set_codes(anybit::Items& items, const Planes& planes, int n_levels, int n_codewords) {
  require(n_levels >= 1 && n_levels <= anybit::kMostLevels,
          "n_levels must be from 1 to " + std::to_string(anybit::kMostLevels) + ", got " +
              std::to_string(n_levels) + ".");
  require(n_codewords >= 2 && n_codewords <= 256 && (n_codewords & (n_codewords - 1)) == 0,
          "n_codewords must be a power of two from 2 to 256, got " + std::to_string(n_codewords) +
              ".");
  const int per_byte = anybit::layout_of(n_codewords).levels_per_byte;
  const auto n_planes = static_cast<std::size_t>((n_levels + per_byte - 1) / per_byte);
  require(planes.shape(0) >= n_planes,
          "planes must have at least " + std::to_string(n_planes) + " rows, got " +
              std::to_string(planes.shape(0)) + ".");
  require(planes.shape(1) <= 1 || planes.stride(1) == 1, "the rows of planes must be contiguous.");
  for (std::size_t p = 0; p < n_planes; ++p) {
    items.planes.push_back(planes.data() + static_cast<std::int64_t>(p) * planes.stride(0));
  }
  items.n_levels = n_levels;
  items.n_codewords = n_codewords;
  items.n_items = static_cast<std::int64_t>(planes.shape(1));
}

// One code length of an index, and the arrays that it looks at.
class Ranking {
 public:
  Ranking(const Ranking&) = delete;
  Ranking(Blocks blocks, std::optional<Rows<float>> level_scales, std::optional<Matrix> rotation,
          std::optional<Rows<float>> offset, bool is_product, Planes planes, int n_levels,
          int n_codewords,
          const std::string& metric, std::optional<Rows<std::int64_t>> ids,
          std::optional<Blocks> codewords, std::optional<Rows<float>> norm_offset,
          std::optional<Rows<std::uint8_t>> bins, std::optional<Rows<float>> bin_floors)
      : blocks_(blocks), level_scales_(level_scales), rotation_(rotation), offset_(offset),
        planes_(planes), ids_(ids), codewords_(codewords), norm_offset_(norm_offset), bins_(bins),
        bin_floors_(bin_floors) {
    anybit::Items& items = ranking_.items;
    set_codes(items, planes, n_levels, n_codewords);
    const std::size_t n_blocks = blocks.shape(0), block_dim = blocks.shape(1);
    const auto levels = static_cast<std::size_t>(n_levels);
    require(blocks.shape(2) == static_cast<std::size_t>(n_codewords) && block_dim >= 1,
            "blocks must have shape (B, d, " + std::to_string(n_codewords) + ").");
    if (level_scales) {
      require(n_blocks == 1 && level_scales->size() >= levels,
              "with level_scales there must be one block, and a scale for every level.");
    } else {
      require(n_blocks >= levels, "without level_scales there must be a block for every level.");
    }
    const std::size_t n_items = planes.shape(1);
    ranking_.metric = metric_named(metric);
    const bool has_norms = ranking_.metric != anybit::Metric::kInnerProduct;
    require(has_norms == bins.has_value() && has_norms == bin_floors.has_value() &&
                has_norms == codewords.has_value(),
            "codewords, bins and bin_floors must come with l2 and cosine, and only there.");

    anybit::CodebookColumns& books = ranking_.codebooks;
    books.blocks = blocks.data();
    books.n_blocks = static_cast<std::int64_t>(n_blocks);
    books.block_dim = static_cast<std::int64_t>(block_dim);
    books.level_scales = level_scales ? level_scales->data() : nullptr;
    books.is_product = is_product;
    require(!is_product || n_blocks == levels, "a product must have one block for every level.");
    books.dim = books.block_dim * (is_product ? n_levels : 1);
    const auto dim = static_cast<std::size_t>(books.dim);
    books.rotation = data_of(rotation, dim * dim, "rotation");
    books.offset = data_of(offset, dim, "offset");
    if (has_norms) {
      items.norm_term = ranking_.metric == anybit::Metric::kL2 ? anybit::NormTerm::kShift
                                                               : anybit::NormTerm::kDivide;
      require(codewords->shape(0) == n_blocks && codewords->shape(1) == blocks.shape(2) &&
                  codewords->shape(2) == block_dim,
              "codewords must have the shape (B, K, d) of the blocks.");
      words_.rows = codewords->data();
      words_.block_dim = books.block_dim;
      words_.level_scales = books.level_scales;
      words_.is_product = is_product;
      words_.dim = books.dim;
      words_.offset = data_of(norm_offset, dim, "norm_offset");
      items.codewords = &words_;
    }
    items.bins = data_of(bins, n_items, "bins");
    items.bin_floors = data_of(bin_floors, 256, "bin_floors");
    ranking_.ids = data_of(ids, n_items, "ids");
  }

  // Fills `ids` and `scores` (Q, k).
  void best(Matrix queries, std::optional<In<bool, nb::ndim<1>>> allowed, int n_threads,
            const std::string& simd, Out<std::int64_t> ids, Out<float> scores) const {
    const std::size_t dim = queries.shape(1);
    require(dim == static_cast<std::size_t>(ranking_.codebooks.dim),
            "queries must have the dimension of the codebooks, got " + std::to_string(dim) + ".");
    answer(queries.shape(0), allowed, n_threads, simd, ids, scores,
           [&](const Asked& asked, anybit::Interrupt& interrupt) {
             anybit::best_items(ranking_, queries.data(), asked.n_queries, asked.k, asked.allowed,
                                n_threads, asked.simd, interrupt, ids.data(), scores.data());
           });
  }

  // The same for queries of which the codes (Q, L) are compared.
  void best_of_codes(In<std::uint8_t, nb::ndim<2>> codes, Blocks products,
                     std::optional<Matrix> offset_products, float sq_offset,
                     std::optional<In<bool, nb::ndim<1>>> allowed, int n_threads,
                     const std::string& simd, Out<std::int64_t> ids, Out<float> scores) const {
    const anybit::CodebookColumns& books = ranking_.codebooks;
    const auto n_blocks = static_cast<std::size_t>(books.n_blocks);
    const auto n_codewords = static_cast<std::size_t>(ranking_.items.n_codewords);
    require(codes.shape(1) == static_cast<std::size_t>(ranking_.items.n_levels),
            "codes must have the levels of the index, got " + std::to_string(codes.shape(1)) + ".");
    require(std::all_of(codes.data(), codes.data() + codes.size(),
                        [&](std::uint8_t code) { return code < n_codewords; }),
            "codes must be below the number of codewords.");
    const std::size_t n_rows = books.is_product ? n_codewords : n_blocks * n_codewords;
    require(products.shape(0) == n_rows && products.shape(1) == n_blocks &&
                products.shape(2) == n_codewords,
            "products must have shape (R, B, K).");
    require(offset_products.has_value() == (books.offset != nullptr),
            "offset_products must come with an offset, and only there.");
    anybit::CodewordPairs pairs;
    pairs.products = products.data();
    pairs.offset_products = data_of(offset_products, n_blocks * n_codewords, "offset_products");
    pairs.sq_offset = sq_offset;
    answer(codes.shape(0), allowed, n_threads, simd, ids, scores,
           [&](const Asked& asked, anybit::Interrupt& interrupt) {
             anybit::best_items_of_codes(ranking_, pairs, codes.data(), asked.n_queries, asked.k,
                                         asked.allowed, n_threads, asked.simd, interrupt,
                                         ids.data(), scores.data());
           });
  }

 private:
  struct Asked {
    std::int64_t n_queries, k;
    const std::uint8_t* allowed;
    const anybit::SimdLevel& simd;
  };

  // Checks what all searches share, and runs one without the interpreter.
  template <typename Search>
  void answer(std::size_t n_queries, const std::optional<In<bool, nb::ndim<1>>>& allowed,
              int n_threads, const std::string& simd, const Out<std::int64_t>& ids,
              const Out<float>& scores, const Search& search) const {
    const auto n_items = static_cast<std::size_t>(ranking_.items.n_items);
    const std::size_t k = ids.shape(1);
    require(k <= n_items, "k must be at most the number of items, got " + std::to_string(k) + ".");
    require(ids.shape(0) == n_queries && scores.shape(0) == n_queries && scores.shape(1) == k,
            "ids and scores must both have shape (Q, k).");
    require(n_threads >= 1,
            "n_threads must be at least 1, got " + std::to_string(n_threads) + ".");
    const auto* is_allowed =
        reinterpret_cast<const std::uint8_t*>(data_of(allowed, n_items, "allowed"));
    const Asked asked{static_cast<std::int64_t>(n_queries), static_cast<std::int64_t>(k),
                      is_allowed, level_named(simd)};
    std::fill_n(ids.data(), n_queries * k, 0);
    bool has_signal = false;
    anybit::Interrupt interrupt([&] {
      const nb::gil_scoped_acquire hold;
      has_signal = PyErr_CheckSignals() != 0;
      return has_signal;
    });
    {
      const nb::gil_scoped_release release;
      search(asked, interrupt);
    }
    if (has_signal) throw nb::python_error();
  }

  anybit::Ranking ranking_;  // points into the arrays, and at words_
  anybit::Codewords words_;
  Blocks blocks_;
  std::optional<Rows<float>> level_scales_;
  std::optional<Matrix> rotation_;
  std::optional<Rows<float>> offset_;
  Planes planes_;
  std::optional<Rows<std::int64_t>> ids_;
  std::optional<Blocks> codewords_;
  std::optional<Rows<float>> norm_offset_;
  std::optional<Rows<std::uint8_t>> bins_;
  std::optional<Rows<float>> bin_floors_;
};

anybit::Denominator denominator_named(const std::string& name) {
  if (name == "found") return anybit::Denominator::kFound;
  if (name == "reachable") return anybit::Denominator::kReachable;
  if (name == "database") return anybit::Denominator::kDatabase;
  throw std::invalid_argument("denominator must be found, reachable or database, got " + name + ".");
}

// A database that is evaluated, and the arrays that it looks at.
class Evaluator {
 public:
  Evaluator(Planes planes, int n_codewords, std::vector<int> lengths, const std::string& metric,
            std::optional<Matrix> norms, In<std::uint64_t, nb::ndim<2>> labels, std::int64_t at,
            std::int64_t ndcg_at, const std::string& denominator, Rows<std::int64_t> ranks,
            Rows<double> recall, Rows<double> harmonic, Rows<double> log_factorial,
            Rows<double> discounts, Rows<double> discount_sums, const std::string& simd)
      : planes_(planes), norms_(norms), labels_(labels), ranks_(ranks), recall_(recall),
        harmonic_(harmonic), log_factorial_(log_factorial), discounts_(discounts),
        discount_sums_(discount_sums) {
    require(!lengths.empty() && std::is_sorted(lengths.begin(), lengths.end()) && lengths[0] >= 1,
            "lengths must be ascending numbers of levels.");
    set_codes(task_.items, planes, lengths.back(), n_codewords);
    const std::size_t n_items = planes.shape(1);
    require(n_items >= 1 && n_items < (std::size_t{1} << 32), "there must be items, below 2^32.");
    task_.metric = metric_named(metric);
    task_.lengths = std::move(lengths);
    task_.add_halves = level_named(simd).add_halves;
    const std::size_t n_lengths = task_.lengths.size();
    require(norms.has_value() == (task_.metric != anybit::Metric::kInnerProduct),
            "norms must be given for l2 and cosine, and only there.");
    data_of(norms, n_lengths * n_items, "norms");
    for (std::size_t length = 0; length < n_lengths; ++length) {
      task_.norms.push_back(norms ? norms->data() + length * n_items : nullptr);
    }
    require(labels.shape(1) == n_items, "labels must have one column per item.");
    task_.item_labels = labels.data();
    task_.n_words = static_cast<std::int64_t>(labels.shape(0));
    anybit::MeasureTables& tables = task_.tables;
    tables.n_items = static_cast<std::int64_t>(n_items);
    require(at >= 1 && at <= tables.n_items && ndcg_at >= 1 && ndcg_at <= tables.n_items,
            "at and ndcg_at must be from 1 to the number of items.");
    tables.at = at;
    tables.ndcg_at = ndcg_at;
    tables.denominator = denominator_named(denominator);
    tables.ranks = ranks.data();
    tables.n_ranks = static_cast<std::int64_t>(ranks.size());
    tables.recall = recall.data();
    tables.n_recall = static_cast<std::int64_t>(recall.size());
    const auto n_discounts = static_cast<std::size_t>(ndcg_at);
    tables.harmonic = data_of(harmonic, n_items + 1, "harmonic");
    tables.log_factorial = data_of(log_factorial, n_items + 1, "log_factorial");
    tables.discounts = data_of(discounts, n_discounts, "discounts");
    tables.discount_sums = data_of(discount_sums, n_discounts + 1, "discount_sums");
  }

  void add(Blocks tables, Rows<float> constants, In<std::uint64_t, nb::ndim<2>> labels,
           std::optional<Matrix> float_scores,
           Out<double> totals) const {
    const std::size_t n_queries = tables.shape(0);
    const auto n_items = static_cast<std::size_t>(task_.items.n_items);
    require(tables.shape(1) == static_cast<std::size_t>(task_.lengths.back()) &&
                tables.shape(2) == static_cast<std::size_t>(task_.items.n_codewords),
            "tables must have the levels and codewords of the codes.");
    require(labels.shape(0) == n_queries &&
                labels.shape(1) == static_cast<std::size_t>(task_.n_words),
            "labels must have one row per query.");
    require(totals.shape(0) == task_.lengths.size() + float_scores.has_value() &&
                totals.shape(1) == static_cast<std::size_t>(task_.tables.n_columns()),
            "totals must have one row per length, and one for float scores.");
    anybit::EvaluationQueries queries;
    queries.tables = tables.data();
    queries.constants = data_of(constants, n_queries, "constants");
    queries.labels = labels.data();
    queries.float_scores = data_of(float_scores, n_queries * n_items, "float_scores");
    queries.n_queries = static_cast<std::int64_t>(n_queries);
    double* out = totals.data();
    const nb::gil_scoped_release release;
    anybit::Measurer measurer(task_.tables);
    anybit::evaluate(task_, queries, measurer, out);
  }

 private:
  anybit::Evaluation task_;  // points into the arrays
  Planes planes_;
  std::optional<Matrix> norms_;
  In<std::uint64_t, nb::ndim<2>> labels_;
  Rows<std::int64_t> ranks_;
  Rows<double> recall_, harmonic_, log_factorial_, discounts_, discount_sums_;
};

}  // namespace

NB_MODULE(_kernel, module) {
  module.doc() = "The exact search, compiled (see anybit.search).";
  nb::class_<Ranking>(module, "Ranking", "One code length of an index.")
      .def(nb::init<Blocks, std::optional<Rows<float>>, std::optional<Matrix>,
                    std::optional<Rows<float>>, bool, Planes, int, int, const std::string&,
                    std::optional<Rows<std::int64_t>>, std::optional<Blocks>,
                    std::optional<Rows<float>>, std::optional<Rows<std::uint8_t>>,
                    std::optional<Rows<float>>>(),
           nb::kw_only(), nb::arg("blocks").noconvert(),
           nb::arg("level_scales").noconvert().none(), nb::arg("rotation").noconvert().none(),
           nb::arg("offset").noconvert().none(), nb::arg("is_product"),
           nb::arg("planes").noconvert(),
           nb::arg("n_levels"), nb::arg("n_codewords"), nb::arg("metric"),
           nb::arg("ids").noconvert() = nb::none(),
           nb::arg("codewords").noconvert() = nb::none(),
           nb::arg("norm_offset").noconvert() = nb::none(),
           nb::arg("bins").noconvert() = nb::none(),
           nb::arg("bin_floors").noconvert() = nb::none())
      .def("best", &Ranking::best, nb::arg("queries").noconvert(),
           nb::arg("allowed").noconvert().none(), nb::arg("n_threads"), nb::arg("simd"),
           nb::arg("ids").noconvert(), nb::arg("scores").noconvert(),
           "Fill ids (Q, k) and scores (Q, k) with those of the best items.")
      .def("best_of_codes", &Ranking::best_of_codes, nb::arg("codes").noconvert(),
           nb::arg("products").noconvert(), nb::arg("offset_products").noconvert().none(),
           nb::arg("sq_offset"), nb::arg("allowed").noconvert().none(), nb::arg("n_threads"),
           nb::arg("simd"), nb::arg("ids").noconvert(), nb::arg("scores").noconvert(),
           "The same for queries of which the codes (Q, L) are compared.");
  nb::class_<Evaluator>(module, "Evaluator", "A database whose retrieval is measured.")
      .def(nb::init<Planes, int, std::vector<int>, const std::string&, std::optional<Matrix>,
                    In<std::uint64_t, nb::ndim<2>>, std::int64_t, std::int64_t, const std::string&,
                    Rows<std::int64_t>, Rows<double>, Rows<double>, Rows<double>, Rows<double>,
                    Rows<double>, const std::string&>(),
           nb::kw_only(), nb::arg("planes").noconvert(), nb::arg("n_codewords"),
           nb::arg("lengths"), nb::arg("metric"), nb::arg("norms").noconvert().none(),
           nb::arg("labels").noconvert(), nb::arg("at"), nb::arg("ndcg_at"),
           nb::arg("denominator"), nb::arg("ranks").noconvert(), nb::arg("recall").noconvert(),
           nb::arg("harmonic").noconvert(), nb::arg("log_factorial").noconvert(),
           nb::arg("discounts").noconvert(), nb::arg("discount_sums").noconvert(),
           nb::arg("simd"))
      .def("add", &Evaluator::add, nb::arg("tables").noconvert(),
           nb::arg("constants").noconvert(), nb::arg("labels").noconvert(),
           nb::arg("float_scores").noconvert().none(), nb::arg("totals").noconvert(),
           "Add the measures of queries, in their order, to totals.");
  module.def(
      "multiply",
      [](Blocks parts, Blocks blocks, const std::string& simd, Out3 products) {
        const std::size_t n_blocks = blocks.shape(0), dim = blocks.shape(1);
        const std::size_t n_parts = parts.shape(1);
        require(parts.shape(2) == dim && (n_parts == 1 || n_parts == n_blocks),
                "parts must have shape (Q, 1, d) or (Q, B, d).");
        require(products.shape(0) == parts.shape(0) && products.shape(1) == n_blocks &&
                    products.shape(2) == blocks.shape(2),
                "products must have shape (Q, B, K).");
        const anybit::SimdLevel& level = level_named(simd);
        const auto size = [](std::size_t value) { return static_cast<std::int64_t>(value); };
        const nb::gil_scoped_release release;
        level.make_tables({parts.data(), size(parts.shape(0)), size(n_parts * dim),
                           n_parts == 1 ? 0 : size(dim), blocks.data(), size(n_blocks), size(dim),
                           size(blocks.shape(2)), products.data()});
      },
      nb::arg("parts").noconvert(), nb::arg("blocks").noconvert(), nb::arg("simd"),
      nb::arg("products").noconvert(),
      "Fill products (Q, B, K) with those of query parts and codewords, added in order.");
  module.def("simd_levels", [] {
    std::vector<std::string> names;
    for (const anybit::SimdLevel& level : simd_levels()) names.push_back(level.name);
    return names;
  }, "Return the instruction sets that this processor can run, fastest first.");
}

// Compiled for AVX2, without fused multiply-add, which would round otherwise.
#include "tables.hpp"

#if defined(__x86_64__)
#include "tables_loop.hpp"

namespace anybit {

void make_tables_avx2(const TableTask& task) { make_tables(task); }

}  // namespace anybit
#endif

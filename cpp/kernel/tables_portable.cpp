#include "tables_loop.hpp"

namespace anybit {

void make_tables_portable(const TableTask& task) { make_tables(task); }

}  // namespace anybit

// The instruction sets that this processor can run, and what is written for each.
#pragma once

#include <string>
#include <vector>

#include "filter.hpp"
#include "level_sums.hpp"
#include "tables.hpp"

namespace anybit {

// What this processor can run. Costs are of one plane, relative to one look-up of the exact scoring;
// they choose how many planes are filtered by, and change no answer.
struct SimdLevel {
  std::string name;
  Filter filter;
  MakeTables make_tables;
  AddHalves add_halves;
  float cost_halved;
  float cost_256;
};

// Fastest first; "portable" is always the last.
std::vector<SimdLevel> available_simd_levels();

}  // namespace anybit

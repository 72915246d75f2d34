// Stands in for the compiler's header where the processor lacks an instruction set: SIMDe
// (Debian: libsimde-dev) computes every intrinsic in plain C++.
#pragma once
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>

using __mmask32 = simde__mmask32;
using __mmask64 = simde__mmask64;

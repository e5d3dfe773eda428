// The kernels for AVX-512 (F, BW, VL, DQ).
#if defined(__x86_64__)
#include "kernels.h"

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi,bmi2"))), apply_to = function)

#define MK_ISA 2
#define MK_NAME "avx512"
#define MK_TABLE mk_kernels_avx512
#define MK_WIDTH 16
#define MK_TILE_ROWS 12
#define MK_TILE_PANELS 2
#define MK_DEPTH 256

#include "vector.inc.h"

#include "tile.inc.h"

#include "formats.inc.h"

#include "narrow.inc.h"

#include "dots_int16.inc.h"

#include "rows.inc.h"

#include "winograd.inc.h"

#include "attention.inc.h"

#include "rows_product.inc.h"

#include "table.inc.h"

#pragma clang attribute pop
#endif

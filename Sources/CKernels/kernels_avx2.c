// The kernels for AVX2 with FMA and F16C.
#if defined(__x86_64__)
#include "kernels.h"

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)

#define MK_ISA 1
#define MK_NAME "avx2"
#define MK_TABLE mk_kernels_avx2
#define MK_WIDTH 8
#define MK_TILE_ROWS 6
#define MK_TILE_PANELS 1
#define MK_DEPTH 384

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

// The kernels for AVX2 with FMA and F16C, and the products of processors that have AVX-VNNI as well.
#if defined(__x86_64__)
#include "attention_few.h"
#include "coded.h"
#include "convolution_narrow.h"
#include "depthwise.h"

#include <immintrin.h>

#ifndef MK_AVX2
#define MK_AVX2 "avx2,fma,f16c,bmi,bmi2"
#define MK_AVX2_VNNI MK_AVX2 ",avxvnni"
#endif

#define MK_ISA 1
#define MK_WIDTH 8
#define MK_TILE_ROWS 6
#define MK_TILE_PANELS 1
#define MK_DEPTH 384
#define MK_QUERY_PANELS 4
#define MK_KEY_BLOCK 192

#pragma clang attribute push(__attribute__((target(MK_AVX2))), apply_to = function)

#include "vector.inc.h"

#include "tile.inc.h"

#include "formats.inc.h"

#include "narrow_bf16.inc.h"

#include "coded_units.inc.h"

#define MK_CODED 0
#include "narrow_coded.inc.h"

#define MK_CODED 1
#include "narrow_coded.inc.h"

#include "int16_pairs.inc.h"

#define MK_VNNI 0
#include "dots_uint8.inc.h"

#define MK_VNNI 0
#include "narrow_int8.inc.h"

#define MK_VNNI 0
#include "narrow_int4.inc.h"

#include "rows.inc.h"

#include "convolution_int8.inc.h"

#include "depthwise.inc.h"

#include "convolution_bands.inc.h"

#include "winograd.inc.h"

#include "attention.inc.h"

#include "attention_few.inc.h"

#include "rows_product.inc.h"

#include "screen.inc.h"

#include "table.inc.h"

#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target(MK_AVX2_VNNI))), apply_to = function)
#define MK_VNNI 1
#include "dots_uint8.inc.h"

#define MK_VNNI 1
#include "narrow_int8.inc.h"

#define MK_VNNI 1
#include "narrow_int4.inc.h"
#pragma clang attribute pop

MK_TABLE(mk_kernels_avx2, "avx2", MK_BF16_WIDENED, MK_INT8_BYTES);
MK_TABLE(mk_kernels_avx2_vnni, "avx2-vnni", MK_BF16_WIDENED, MK_INT8_VNNI(MK_FEW_INT8(mk_narrow_int8_vnni)));
#endif

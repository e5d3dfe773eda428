// The kernels for AVX-512 (F, BW, VL, DQ), and the products of processors that have VNNI or BF16 as well.
#if defined(__x86_64__)
#include "attention_few.h"
#include "coded.h"
#include "convolution_narrow.h"
#include "depthwise.h"

#include <immintrin.h>

#ifndef MK_AVX512
#define MK_AVX512 "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi,bmi2"
#define MK_AVX512_VNNI MK_AVX512 ",avx512vnni"
#define MK_AVX512_BF16 MK_AVX512 ",avx512bf16"
#endif

#define MK_ISA 2
#define MK_WIDTH 16
#define MK_TILE_ROWS 12
#define MK_TILE_PANELS 2
#define MK_DEPTH 384
#define MK_QUERY_PANELS 2
#define MK_KEY_BLOCK 464

#pragma clang attribute push(__attribute__((target(MK_AVX512))), apply_to = function)

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

#pragma clang attribute push(__attribute__((target(MK_AVX512_VNNI))), apply_to = function)
#define MK_VNNI 1
#include "dots_uint8.inc.h"

#include "narrow_digits.inc.h"

#define MK_VNNI 1
#include "narrow_int4.inc.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target(MK_AVX512_BF16))), apply_to = function)
#include "bf16_pairs.inc.h"

#define MK_CODED 2
#include "narrow_coded.inc.h"

#define MK_DOTS mk_bf16
#define MK_DOTS_ROW
#include "dots_bf16.inc.h"

#define MK_DOTS mk_bf16_strided
#define MK_DOTS_LAYOUT MK_STRIDED
#include "dots_bf16.inc.h"

#define MK_DOTS mk_bf16_column
#define MK_DOTS_LAYOUT MK_COLUMN
#include "dots_bf16.inc.h"

#include "attention_pairs.inc.h"

#include "convolution_bf16.inc.h"
#pragma clang attribute pop

MK_TABLE(mk_kernels_avx512, "avx512", MK_BF16_WIDENED, MK_INT8_BYTES);
MK_TABLE(mk_kernels_avx512_vnni, "avx512-vnni", MK_BF16_WIDENED, MK_INT8_VNNI(MK_FEW_DIGITS(mk_narrow_digits)));
MK_TABLE(mk_kernels_avx512_bf16, "avx512-vnni-bf16", MK_BF16_PAIRS, MK_INT8_VNNI(MK_FEW_DIGITS(mk_narrow_digits)));
#endif

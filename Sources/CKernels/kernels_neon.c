// The kernels for arm64: NEON is part of every such processor, so the compiler needs no leave to use it.
#if defined(__aarch64__)
#include "attention_few.h"
#include "coded.h"
#include "convolution_narrow.h"
#include "depthwise.h"

#include <arm_neon.h>

#define MK_ISA 3
#define MK_WIDTH 4
#define MK_TILE_ROWS 6
#define MK_TILE_PANELS 1
#define MK_DEPTH 384
#define MK_QUERY_PANELS 4
#define MK_KEY_BLOCK 192

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

#include "dots_int16.inc.h"

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

// A product of pairs of int16 is four instructions, one of float32 a single one.
MK_TABLE(mk_kernels_neon, "neon", MK_BF16_WIDENED, MK_INT8_PAIRS(MK_NO_WINDOWS));

#endif

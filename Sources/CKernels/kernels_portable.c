// The kernels for any processor that clang knows.
#include "attention_few.h"
#include "coded.h"
#include "convolution_narrow.h"
#include "depthwise.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define MK_ISA 0
#define MK_WIDTH 4
#define MK_TILE_ROWS 2
#define MK_TILE_PANELS 1
#define MK_DEPTH 256
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

MK_TABLE(mk_kernels_portable, "portable", MK_BF16_WIDENED, MK_INT8_PAIRS(MK_DIRECT_WINDOWS));

// Tiles of quads of unsigned bytes and signed ones, integer sums of four products: mk_quads, whose left operand is the
// unsigned one (rows of a product), and mk_pixels, whose right one is (pixels of a convolution); sums of two products fit in 16
// bits (MK_PAIR_LEVELS). Before each inclusion: MK_VNNI as in quads.inc.h; where it is 1 their names end in _vnni.

#if MK_VNNI
#define MK_NAMED(tiles) tiles##_vnni
#else
#define MK_NAMED(tiles) tiles
#endif
#include "quads.inc.h"

#define MK_DOTS MK_NAMED(mk_quads)
#define MK_INTEGERS 1
#define MK_UNSIGNED 1
#define MK_DOT(sum, a, b) MK_ADD_QUADS(sum, a, b)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"

#define MK_DOTS MK_NAMED(mk_pixels)
#define MK_INTEGERS 1
#define MK_UNSIGNED 1
#define MK_DOT(sum, a, b) MK_ADD_QUADS(sum, b, a)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"

#undef MK_NAMED
#undef MK_VNNI

// Tiles of pairs of int16, where no instruction multiplies bytes.

#define MK_DOTS mk_int16
#define MK_INTEGERS 1
#define MK_UNSIGNED 0
#define MK_DOT(sum, a, b) mk_add_int16_pairs(sum, a, b)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"

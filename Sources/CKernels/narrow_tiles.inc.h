// The tiles of few rows, and their table. Before each inclusion: MK_JOIN; MK_NARROW, the name; MK_NARROW_PRODUCT(rows, panels, t, acc),
// which computes the sums; MK_NARROW_FINISH(rows, panels, t, acc), what becomes of them; MK_NARROW_HEIGHTS unless there are
// tiles of all heights.

#ifndef MK_NARROW_HEIGHTS
#define MK_NARROW_HEIGHTS MK_HEIGHTS
#endif

#define MK_NARROW_NAME(rows, panels) MK_JOIN(MK_JOIN(MK_NARROW, rows), panels)
#define MK_NARROW_FUNCTION(rows, panels, ignored)               \
  static void MK_NARROW_NAME(rows, panels)(const mk_tile *t) {  \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                     \
    MK_NARROW_PRODUCT(rows, panels, t, acc);                    \
    MK_NARROW_FINISH(rows, panels, t, acc);                     \
  }
#define MK_NARROW_ENTRY(rows, panels, ignored) MK_NARROW_NAME(rows, panels),

MK_NARROW_FUNCTION(1, 4, 0)
MK_TILES_OF(MK_NARROW_HEIGHTS, MK_NARROW_FUNCTION, 0)
static const mk_tile_fn MK_JOIN(MK_NARROW, tiles)[2][MK_BLOCK_ROWS] =
  MK_ENTRIES_OF(MK_NARROW_HEIGHTS, MK_NARROW_ENTRY, 0);

#undef MK_NARROW_ENTRY
#undef MK_NARROW_FUNCTION
#undef MK_NARROW_NAME
#undef MK_NARROW_HEIGHTS

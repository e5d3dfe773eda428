// Sources of CABI follow.

// Sources of Graph follow.

// Sources of Exit follow.

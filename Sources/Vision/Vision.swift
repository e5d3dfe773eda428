// Sources of Vision follow.

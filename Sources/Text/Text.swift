// Sources of Text follow.

// Sources of Streams follow.

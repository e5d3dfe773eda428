// Sources of JSON follow.

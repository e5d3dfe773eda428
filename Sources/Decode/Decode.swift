// Sources of Decode follow.

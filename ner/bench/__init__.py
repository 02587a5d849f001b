"""`make bench`: how fast prediction, training and serving are; `make experiments`: what little data is worth."""

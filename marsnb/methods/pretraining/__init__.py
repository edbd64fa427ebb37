"""Pretraining without labels, one file a method: what it learns are start weights, not scores."""

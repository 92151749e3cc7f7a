"""Sketches: random embeddings, least squares and regression on them, sampled products."""

"""Finite-element models that come with romflow; the only home of scikit-fem."""

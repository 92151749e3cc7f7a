"""Orthonormal polynomials of the parameters' distributions, and random designs that are optimal for them."""

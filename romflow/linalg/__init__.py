"""Kernels: direct solves, inner products, orthonormalisation, POD, eigenvalues, batched small systems."""

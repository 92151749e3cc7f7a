"""Sweeps: many systems A(theta) u = f(theta) of one affine family, solved as one problem."""

"""Interpolation of parametrised functions and matrices at a few of their entries."""

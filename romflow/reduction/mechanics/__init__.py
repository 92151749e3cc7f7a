"""Reduction of nonlinear mechanics: stresses recomputed from displacements, their modes, and a cubature of forces."""

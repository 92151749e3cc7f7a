"""Solver settings learnt along a sequence of systems."""

"""Reduced nonlinear structural mechanics: laws at cubature points, dual fields by gappy modes, error indicators."""

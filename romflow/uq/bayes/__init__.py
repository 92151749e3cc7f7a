"""Calibration: posteriors of parameters from measured outputs."""

"""Uncertainty: what random inputs make of the outputs, with statistical and model errors kept apart."""

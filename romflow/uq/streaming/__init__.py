"""Draws that stream through a model: statistics and sensitivities in bounded memory."""

"""Nonlinear full-order models: pointwise terms, Newton, and the stationary model made of them."""

"""Models whose coefficients vary in space in a way that no few terms separate from the parameters."""

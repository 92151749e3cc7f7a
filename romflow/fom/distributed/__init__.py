"""Full-order models that are split into parts: no place holds a matrix of the whole."""

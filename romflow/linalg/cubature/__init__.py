"""Cubature rules with few points and positive weights: selection, rows, subdomains."""

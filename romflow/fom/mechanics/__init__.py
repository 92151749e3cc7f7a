"""Quasi-static structural mechanics: spaces, loads, the full-order solver, and what other codes give."""

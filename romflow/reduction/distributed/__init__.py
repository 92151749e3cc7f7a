"""Reduction of split models: every sum over unknowns is a sum over parts, and nothing of a part leaves its file."""

"""Dictionaries of reduced models: what is alike, how many models, and which of them answers."""

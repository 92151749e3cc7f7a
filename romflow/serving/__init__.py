"""Serving models to other programs over HTTP, by the UM-Bridge protocol."""

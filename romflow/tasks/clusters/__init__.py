"""Clusters that a study may name: how each is started, watched, scaled and ended."""

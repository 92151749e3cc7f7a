"""Models that move in time: their grid of times, the systems of their steps, and the march."""

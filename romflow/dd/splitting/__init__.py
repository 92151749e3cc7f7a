"""Domain splitting on tensor grids: coarse lines first, then the cells between them, each on its own."""

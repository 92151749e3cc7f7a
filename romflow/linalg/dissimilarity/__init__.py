"""How badly one simulation spans another: angles between fields and between subspaces, and the Euclidean baseline."""

"""Functions of A(mu) from a few points: inverses, solutions, log-determinants."""

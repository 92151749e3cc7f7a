"""Newton's method for equality-constrained problems."""

"""Markov chains in the standard normal coordinates of random inputs."""

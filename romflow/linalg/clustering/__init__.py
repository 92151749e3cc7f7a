"""Clusters of simulations around members that represent them."""

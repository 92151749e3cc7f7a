"""The walk of a study with a dictionary: cheap solves, clusters, full-order runs of some, local models."""

"""The online stage of a reduced model as a short list of array operations, which several languages print."""

"""Full-order solves on many processors: batches, executors, clusters, failures; the only home of dask."""

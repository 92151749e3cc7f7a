"""Domain decomposition over MPI ranks: partitions, exchange, Schwarz methods and coarse spaces."""

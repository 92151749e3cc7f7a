"""CalculiX: its input and result files, its runs, and a full-order model that it solves."""

"""Reduced models: evaluation in batches, residual norms, stability bounds, saving and loading."""

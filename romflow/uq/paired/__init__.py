"""Several models at the same draws: control variates and multifidelity Monte Carlo."""

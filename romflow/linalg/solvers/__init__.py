"""Linear solves: direct back ends on one symbolic analysis, Krylov methods, and the rule that chooses among them."""

"""Layer E: execution in three tiers: models (forward), solvers (inverse), optimizers (search)."""

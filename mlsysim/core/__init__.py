"""Units, provenance, the registry, plans, and the evaluation."""

"""Which days, in which order, and what the state says."""

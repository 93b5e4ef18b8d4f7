"""Where `mixpanel-export read` puts batches: what was committed stays, and nothing else."""

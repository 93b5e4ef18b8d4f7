"""What `mixpanel-export check` looks at before a run."""

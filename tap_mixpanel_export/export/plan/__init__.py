"""What `mixpanel-export plan` says of a run before it is run."""

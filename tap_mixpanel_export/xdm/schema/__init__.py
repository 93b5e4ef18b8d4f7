"""XDM types, fields and field groups."""

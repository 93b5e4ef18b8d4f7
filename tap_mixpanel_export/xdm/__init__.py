"""Mapping sets, field groups and what is derived from them."""

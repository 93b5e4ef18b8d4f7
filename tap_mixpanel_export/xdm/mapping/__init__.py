"""Mapping sets, and what is derived from them."""

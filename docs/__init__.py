"""Writes what is published about the tap from what the tap says about itself."""

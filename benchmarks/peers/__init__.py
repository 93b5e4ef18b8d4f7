"""Wrappers that point other clients at the sandbox."""

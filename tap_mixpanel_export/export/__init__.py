"""Exports without Singer: Python's way to the same windows, checks and state."""

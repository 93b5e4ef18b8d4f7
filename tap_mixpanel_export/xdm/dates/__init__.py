"""Dates as people and Data Prep write them."""

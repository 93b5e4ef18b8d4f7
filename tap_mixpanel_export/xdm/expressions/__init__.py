"""Expressions of Adobe's Data Prep: parsed, checked and compiled once, evaluated per event.

Nothing is imported for them, and no grammar built, before the first one is compiled.
"""

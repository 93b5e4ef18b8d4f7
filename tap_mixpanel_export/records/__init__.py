"""The text of a response in, finished records out; no HTTP."""

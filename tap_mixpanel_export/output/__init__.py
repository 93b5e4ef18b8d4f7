"""Records as Singer messages and files."""

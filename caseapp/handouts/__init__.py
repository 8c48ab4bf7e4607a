"""Handouts: the library, its editions, and what was given to whom."""

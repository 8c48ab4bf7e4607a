"""Handouts: the library on disk, its published editions, and what becomes a page or a PDF."""

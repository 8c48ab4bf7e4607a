"""Suitability: whether a handout may reach a client now, and what to recommend next."""

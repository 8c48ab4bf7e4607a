"""Assignments: which handouts suit a client now, and what was given, opened, read and taken back."""

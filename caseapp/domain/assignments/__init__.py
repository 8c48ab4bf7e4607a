"""Assignments: which handouts a client was assigned, opened and read, and which were withdrawn."""

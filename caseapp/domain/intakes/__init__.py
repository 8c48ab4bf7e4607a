"""Intakes that wait for a supervisor, because they fit the record of a client whom the coach may know nothing of."""

"""Merging the records of a client who was entered twice."""

"""Staffing: who is responsible for a client when a member of staff leaves, and who supervises whom."""

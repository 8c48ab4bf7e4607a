"""Alerts: who is told that a hold was opened or renewed, in which order, until somebody acknowledges it."""

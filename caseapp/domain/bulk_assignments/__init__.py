"""Givings: one sheet to several clients, confirmed by a person and carried out by a job."""

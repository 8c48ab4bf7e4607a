"""Bulk assignments: one handout assigned to several clients by a background job."""

"""Retention: from when a record may be destroyed, by the practice's periods and what happened last."""

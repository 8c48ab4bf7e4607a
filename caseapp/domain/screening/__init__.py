"""Screening: ten questions about safety and daily life, and the holds, flags and tasks that answers require."""

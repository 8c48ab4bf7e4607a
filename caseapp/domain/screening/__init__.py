"""Screening: seven questions about safety and daily life, and the holds, flags and tasks they demand."""

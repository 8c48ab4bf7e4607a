"""Consent: the practice's texts, what clients have agreed to, and what they have withdrawn."""

"""Erasing a client's record: a request, a second person, destroyed keys, and what is kept as a certificate."""

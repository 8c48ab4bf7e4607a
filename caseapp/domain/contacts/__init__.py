"""The contact log: contact, attempted contact, no-shows and cancelled sessions. None of them is a session."""

"""The disclosure log: what of a client's record was given to whom, and why."""

"""The keys: one for each client, and the ring of the installation's own, all wrapped by the vault key."""

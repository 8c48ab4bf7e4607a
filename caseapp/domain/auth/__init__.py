"""Authentication: staff accounts and sign-in, bearer tokens, throttling, and clients' access to the portal."""

"""What the doors share: guard, sessions, headers, payloads, errors, downloads, links between pages."""

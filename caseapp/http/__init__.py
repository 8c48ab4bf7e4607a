"""Shared by the interfaces: guard, sessions, headers, request parsing, errors, downloads, template helpers."""

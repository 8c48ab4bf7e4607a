"""Clients: who they are, who may know of them, how they may safely be reached."""

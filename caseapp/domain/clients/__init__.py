"""Clients: their details, who may see them, how they can safely be contacted."""

"""Session notes: drafts that save themselves, signed notes that nobody can change."""

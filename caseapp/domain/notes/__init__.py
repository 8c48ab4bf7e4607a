"""Session notes: drafts, which autosave, and signed notes, which never change."""

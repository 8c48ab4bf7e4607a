"""The practice: its settings, its letterhead and its help lines."""

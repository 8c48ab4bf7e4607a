"""Worker processes with kernel limits, in which documents and files from outside are handled."""

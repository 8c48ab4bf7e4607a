"""Case management for coaches of separated people: one set of operations for four interfaces."""

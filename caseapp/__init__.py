"""Case management for coaches of separated people: one set of operations behind four doors."""

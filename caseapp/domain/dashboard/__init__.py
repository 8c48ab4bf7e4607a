"""Overviews: Today and the timeline; they read across slices and own nothing."""

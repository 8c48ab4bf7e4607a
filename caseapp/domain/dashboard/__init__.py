"""The dashboard: Today and the timeline. They read from other packages and have no tables."""

"""Case reports: coded figures for those who run the practice, without names or free text."""

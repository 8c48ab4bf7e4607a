"""Case reports: coded figures for admins, without names or free text."""

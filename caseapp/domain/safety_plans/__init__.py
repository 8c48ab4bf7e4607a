"""Safety plans: versions that never change, a review date, and whether the client wants one in the portal."""

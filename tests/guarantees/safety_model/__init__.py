"""An independent model of what keeps a client safe, and the random histories that compare the program with it."""

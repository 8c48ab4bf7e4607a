"""Staff: who works in the practice, in which role, and who supervises whom."""

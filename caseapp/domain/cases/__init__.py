"""Cases: a client's coaching from intake to closing."""

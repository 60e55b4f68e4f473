"""How many attempts may run at one time: of one function, and beside those of others."""

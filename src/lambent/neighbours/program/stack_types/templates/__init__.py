"""Templates: how they are read, what is wrong with them, what rewrites them before anything is made."""

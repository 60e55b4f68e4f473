"""The pieces of a connection: what a head must look like, bodies on their way to a file, answers to bytes."""

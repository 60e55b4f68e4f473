"""Reserved and provisioned concurrency, and the scaling of functions on capacity providers."""

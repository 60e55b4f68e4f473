"""What runs in a sandbox before the customer's code: zygote, init, preparation. Stdlib only, Python 3.8 and newer."""

"""Other services of AWS: what describes those that are served here, and requests to any."""

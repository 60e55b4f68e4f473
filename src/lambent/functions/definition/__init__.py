"""What a function is made of: from requests to values, what goes together, what other services must know of it."""

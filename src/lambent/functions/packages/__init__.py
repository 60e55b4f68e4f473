"""Deployment packages on their way in and out: from a request, to a caller, and away when nobody needs them."""

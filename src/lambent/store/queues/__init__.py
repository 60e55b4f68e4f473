"""Queues of events, leases and slices: the contracts, and how full queues may be. Drivers: sqlite/ and postgresql/."""

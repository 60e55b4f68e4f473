"""Which records a mapping wants: filter criteria and the pattern language."""

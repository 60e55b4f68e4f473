"""Greets whoever the event names."""


def handler(event, context):
    """Return a greeting and what the context says."""
    print(f"greeting {event.get('name', 'nobody')}")
    return {
        "message": f"Hello, {event.get('name', 'world')}!",
        "function": context.function_name,
        "remaining_ms": context.get_remaining_time_in_millis(),
    }

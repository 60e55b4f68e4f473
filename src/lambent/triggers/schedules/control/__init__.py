"""The API of EventBridge Scheduler."""

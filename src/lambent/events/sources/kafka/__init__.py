"""Kafka: consumer groups, authentication, the forms of its records."""

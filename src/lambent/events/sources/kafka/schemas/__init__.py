"""Schema registries: records of Kafka that are checked, and read, by the schema that they name."""

"""Environment variables under keys of the customer's own: KMSKeyArn."""

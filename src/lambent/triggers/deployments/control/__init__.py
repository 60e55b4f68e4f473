"""The API of CodeDeploy, as far as it is about Lambda."""

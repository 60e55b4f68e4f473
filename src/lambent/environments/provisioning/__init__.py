"""Environments that stand ready before anybody asks: provisioned concurrency.

Owns: which version shall have how many, and the list of those that are ready (memory, scope node). Never: decides who
gets one, that is the limiter's.
"""

from lambent.environments.provisioning.provisioned import ProvisionedEnvironments

__all__ = ["ProvisionedEnvironments"]

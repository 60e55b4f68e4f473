"""`lambent deploy`: a template and what it names on this machine become a stack, by the public API alone."""

from lambent.cli.deployment.deploy import run_deploy

__all__ = ["run_deploy"]

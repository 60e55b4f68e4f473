"""CONTROL PLANE. AWS's resources: functions, their tags, the account.

Owns: the rules of what a function may be and the transitions of its state. Does: check, commit through the store,
answer in AWS's shapes. Never: runs a function, serves HTTP, or is asked anything on an invocation's path.
"""

from lambent.functions.control_plane import ControlPlane
from lambent.functions.definition.networks import Ec2Networks
from lambent.functions.encryption.kms import KmsKeys
from lambent.functions.packages.links import CodeDownload
from lambent.functions.packages.s3 import S3Packages
from lambent.functions.parts import ControlPlaneParts, ControlPlaneRules

__all__ = [
    "CodeDownload",
    "ControlPlane",
    "ControlPlaneParts",
    "ControlPlaneRules",
    "Ec2Networks",
    "KmsKeys",
    "S3Packages",
]

"""ASSEMBLY. AWS's own names inside sandboxes: code that knows no AWS_ENDPOINT_URL reaches the same door by them.

Owns: nothing but what store/certificates keeps. Does: says which names lead to us, and listens where they lead.
Never: answers a request; the API's door does.
"""

from lambent.aws_names.endpoint import InsideEndpoint
from lambent.aws_names.names import AwsNames

__all__ = ["AwsNames", "InsideEndpoint"]

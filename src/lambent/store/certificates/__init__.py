"""GROUND. Certificates for AWS's own names inside sandboxes: the installation's authority, and what it vouches for.

Owns: `keys/amazonaws.pem`, `trust/` in the data directory. Does: make the authority once, certificates by name, and the
directories of certificates that sandboxes see. Never: vouches for a name that is not AWS's, or serves a connection.
"""

from lambent.store.certificates.authority import Authority
from lambent.store.certificates.leaves import LeafCertificates
from lambent.store.certificates.trust import lay_out_trust

__all__ = ["Authority", "LeafCertificates", "lay_out_trust"]

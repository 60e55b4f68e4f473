"""What an account may use in a region, and what of that it has given away."""

from lambent.functions.account.quotas import AccountQuotas
from lambent.functions.account.settings import Account

__all__ = ["Account", "AccountQuotas"]

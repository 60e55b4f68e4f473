"""What an account may use in a region, and what of that it has given away."""

from lambent.functions.account.quotas import AccountQuotas, quota_value
from lambent.functions.account.settings import Account
from lambent.functions.account.storage import CodeStorage

__all__ = ["Account", "AccountQuotas", "CodeStorage", "quota_value"]

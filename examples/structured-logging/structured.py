"""Log lines that machines read: JSON with levels, request ids and fields of one's own."""

import logging

logger = logging.getLogger("orders")


def handler(event, context):
    """Write one line of each level and one with an exception."""
    logger.debug("not shown at level INFO")
    logger.info("order placed", extra={"order_id": event["order_id"], "amount": event["amount"]})
    try:
        1 / event["amount"]
    except ZeroDivisionError:
        logger.exception("cannot divide", extra={"order_id": event["order_id"]})
    logger.warning({"reason": "a dictionary is a message too"})

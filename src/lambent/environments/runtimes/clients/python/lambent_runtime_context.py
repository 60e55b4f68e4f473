"""The context object a Python handler gets as its second argument.

Source: developer guide, "Using the Lambda context object"; text forms observed from AWS's Python runtime.
"""

import logging
import os
import sys
import time

_variables = {}


def remember(variables):
    """Take the function's variables as they were at its start for every context: they are read five times a call."""
    _variables.update(variables)


_TRACE_FIELDS = ("traceparent", "tracestate", "baggage")


def _text(record, names):
    return "%s([%s])" % (type(record).__name__, ",".join("%s=%s" % (name, getattr(record, name)) for name in names))


class _Fields:
    """Attributes named by __slots__, taken from a dictionary; None where it has none. `_order` is the text form's."""

    __slots__ = ()
    _order = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return _text(self, self._order)


class CognitoIdentity(_Fields):
    """The Cognito identity that signed the call; both fields are None without one."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")
    _order = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Fields):
    """The mobile application that called."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")
    _order = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Fields):
    """What the caller sent as ClientContext."""

    __slots__ = ("client", "custom", "env")
    _order = ("custom", "env", "client")

    def __init__(self, values):
        _Fields.__init__(self, values)
        if self.client is not None:
            self.client = Client(self.client)


class LambdaContext:
    """One invocation as its handler sees it. `deadline_ms` is the Unix epoch's."""

    def __init__(self, request_id, client_context, identity, deadline_ms, invoked_function_arn=None, tenant_id=None):
        variables = (_variables or os.environ).get
        self.aws_request_id = request_id
        self.log_group_name = variables("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variables("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = variables("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = variables("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = variables("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = invoked_function_arn
        self.tenant_id = tenant_id
        self._w3c_fields = _take_trace_fields(client_context)
        self.client_context = None if client_context is None else ClientContext(client_context)
        identity = identity or {}
        self.identity = CognitoIdentity(
            {
                "cognito_identity_id": identity.get("cognitoIdentityId"),
                "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
            }
        )
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        """Return the milliseconds left until the function's time-out, never below 0."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self):
        """Return the W3C trace context that came with the invocation."""
        return dict(self._w3c_fields)

    def log(self, msg):
        """Write to the function's log."""
        for each in logging.getLogger().handlers:
            if hasattr(each, "log_sink"):
                each.log_sink.log(str(msg))
                return
        sys.stdout.write(str(msg))

    def __repr__(self):
        return _text(
            self,
            (
                "aws_request_id",
                "log_group_name",
                "log_stream_name",
                "function_name",
                "memory_limit_in_mb",
                "function_version",
                "invoked_function_arn",
                "client_context",
                "identity",
                "tenant_id",
            ),
        )


def _take_trace_fields(client_context):
    if not isinstance(client_context, dict):
        return {}
    fields = client_context.pop("w3c", None)
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in _TRACE_FIELDS if isinstance(fields.get(name), str)}

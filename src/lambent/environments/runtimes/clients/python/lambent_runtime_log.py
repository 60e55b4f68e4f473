"""The function's log: the root logger's text and JSON lines, and the report of an error.

Lines go to standard output; where the platform gives a telemetry descriptor (_LAMBDA_TELEMETRY_LOG_FD), each record
is one frame on it instead. Source: developer guide, "Log and monitor Python Lambda functions"; forms observed from
AWS's Python runtime.
"""

import json
import logging
import os
import sys
import time
import traceback

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
_INDENT = "\u00a0"
_JSON_FRAME = 0xA55A0002
_TEXT_FRAME = 0xA55A0003
_KNOWN_FIELDS = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created "
    "msecs relativeCreated thread threadName processName process aws_request_id tenant_id _frame_type".split()
)

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


class CurrentInvocation:
    """What log records say of the invocation that runs now."""

    __slots__ = ("request_id", "tenant_id")

    def __init__(self):
        self.request_id = None
        self.tenant_id = None

    def filter(self, record):
        """Give a record the invocation's ids. Makes this object a logging filter."""
        record.aws_request_id = self.request_id or ""
        record.tenant_id = self.tenant_id
        return True


class StandardSink:
    """Log lines on standard output; the lines of one error are joined by carriage returns, which keeps one record."""

    def log(self, text, frame_type=None):
        """Write `text`, which ends its own line."""
        sys.stdout.write(text)

    def log_error(self, lines):
        """Write an error report."""
        sys.stdout.write("\r".join(lines) + "\n")


class FramedSink:
    """Log records as frames: type, length, time in microseconds, text."""

    def __init__(self, fd, error_frame_type):
        self._fd = fd
        self._error_frame_type = error_frame_type

    def log(self, text, frame_type=None):
        """Write one frame."""
        body = text.encode("utf8")
        microseconds = time.time_ns() // 1000
        head = (frame_type or _TEXT_FRAME).to_bytes(4, "big") + len(body).to_bytes(4, "big")
        data = memoryview(head + microseconds.to_bytes(8, "big") + body)
        while data:
            data = data[os.write(self._fd, data) :]

    def log_error(self, lines):
        """Write an error report as one frame."""
        self.log("\n".join(lines), self._error_frame_type)


class LambdaLoggerHandler(logging.Handler):
    """The root logger's way into the function's log."""

    def __init__(self, log_sink, has_frame_types):
        logging.Handler.__init__(self)
        self.log_sink = log_sink
        self._has_frame_types = has_frame_types

    def emit(self, record):
        """Write one record."""
        text = self.format(record)
        frame_type = getattr(record, "_frame_type", None)
        if frame_type is None and self._has_frame_types:
            frame_type = _frame_type(_TEXT_FRAME, _level(record))
        self.log_sink.log(text, frame_type)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self):
        logging.Formatter.__init__(self, datefmt=_TIME_FORMAT)

    def format(self, record):
        """Return the record's line."""
        record.levelno = _level(record)
        record.levelname = logging.getLevelName(record.levelno)
        record._frame_type = _frame_type(_JSON_FRAME, record.levelno)
        is_plain = isinstance(record.msg, dict) and not record.args
        line = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if is_plain else record.getMessage(),
            "logger": record.name,
        }
        raised = record.exc_info
        if raised:
            line["stackTrace"] = traceback.format_tb(raised[2])
            line["errorType"] = raised[0].__name__
            line["errorMessage"] = str(raised[1])
        line["requestId"] = getattr(record, "aws_request_id", None)
        if raised:
            line["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
        if getattr(record, "tenant_id", None) is not None:
            line["tenantId"] = record.tenant_id
        absent = {"stackTrace", "errorType", "errorMessage", "location"}
        for key, value in record.__dict__.items():
            if key not in _KNOWN_FIELDS and key not in line and key not in absent:
                line[key] = value
        return _encode({key: value for key, value in line.items() if value is not None}) + "\n"


class FunctionLog:
    """The log of one function process, in the form its variables ask for. `encode` writes the error reports' JSON."""

    def __init__(self, variables, encode):
        self.current = CurrentInvocation()
        self._encode = encode
        self._is_json = (variables.get("AWS_LAMBDA_LOG_FORMAT") or "").upper() == "JSON"
        level = variables.get("AWS_LAMBDA_LOG_LEVEL")
        self._level = {None: "", "TRACE": "DEBUG"}.get(level, level).upper()
        self.sink = self._make_sink()

    def install(self):
        """Give the root logger its handler, format and level."""
        logging.Formatter.converter = time.gmtime
        root = logging.getLogger()
        each = LambdaLoggerHandler(self.sink, self._is_json or bool(self._level))
        each.setFormatter(JsonFormatter() if self._is_json else logging.Formatter(_TEXT_FORMAT, "%Y-%m-%dT%H:%M:%S"))
        if self._level in logging._nameToLevel:
            root.setLevel(self._level)
        each.addFilter(self.current)
        root.addHandler(each)

    def report(self, error):
        """Write the report of an error payload."""
        if self._is_json:
            now = time.strftime(_TIME_FORMAT, logging.Formatter.converter(time.time()))
            self.sink.log_error([self._encode(dict({"timestamp": now, "level": "ERROR"}, **error))])
            return
        kind, message = error["errorType"], error["errorMessage"]
        first = "[ERROR]" + (" " + kind if kind else "")
        if message:
            first += (": " if kind else " ") + message
        lines = [first, "Traceback (most recent call last):"]
        for entry in error["stackTrace"]:
            lines += [_indented(line) for line in entry.splitlines()] or [""]
        self.sink.log_error(lines)

    def _make_sink(self):
        # The descriptor is the runtime's own business: the function does not see the variable.
        fd = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
        if fd is None:
            return StandardSink()
        return FramedSink(int(fd), _frame_type(_JSON_FRAME if self._is_json else _TEXT_FRAME, logging.ERROR))


def _level(record):
    return min(50, max(0, record.levelno)) // 10 * 10


def _frame_type(base, level):
    if level not in (10, 20, 30, 40, 50):
        return base
    return base + 4 + level // 10 * 4


def _indented(line):
    text = line.lstrip(" ")
    return _INDENT * (len(line) - len(text)) + text

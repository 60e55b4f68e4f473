"""Events and results as JSON, with the rules of AWS's Python runtime.

Decimals become numbers, named tuples objects, bytes text; NaN is written as NaN. Non-ASCII text is escaped up to
Python 3.11 and written as it is from 3.12 on. Values of plain types only, nearly all, go through the C encoder;
`marshal` tells at C speed whether there is anything else in them.
"""

import json
import marshal
import re
from decimal import Decimal

_UNESCAPED = frozenset(
    "AWS_Lambda_python3.12 AWS_Lambda_python3.13 AWS_Lambda_python3.14 AWS_Lambda_python3.15".split()
)
# Source: recorded (test_uncaught_exception_invoke: 3.8 tells no request id, 3.9 and newer do).
_WITHOUT_REQUEST_ID = frozenset("AWS_Lambda_python3.6 AWS_Lambda_python3.7 AWS_Lambda_python3.8".split())
_KEY_TEXT = "keys must be str, int, float, bool or None, not %s"
_INFINITY = float("inf")
# marshal's own bound on nesting is 2,000; without shared references (version 2) it is a plain walk.
_MARSHAL_VERSION = 2


_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)', re.DOTALL)


class _ConstantError(Exception):
    pass


def _refuse_constant(name):
    raise _ConstantError


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


class Encoder:
    """Writes JSON. `execution_environment` is the value of AWS_EXECUTION_ENV."""

    def __init__(self, execution_environment):
        is_ascii = execution_environment not in _UNESCAPED
        self._has_request_id = execution_environment not in _WITHOUT_REQUEST_ID
        self._fast = json.JSONEncoder(ensure_ascii=is_ascii, allow_nan=True).encode
        self._text = json.encoder.encode_basestring_ascii if is_ascii else json.encoder.encode_basestring

    def encode_error(self, error):
        """Return an error's text as this runtime's own version tells it."""
        if not self._has_request_id:
            error = {name: value for name, value in error.items() if name != "requestId"}
        return self.encode(error)

    def encode(self, value):
        """Return the JSON text of `value`. Raises TypeError, ValueError and what the value's own methods raise."""
        if type(value) is not str:
            try:
                marshal.dumps(value, _MARSHAL_VERSION)
            except ValueError:
                return self._encode_slowly(value)
        try:
            return self._fast(value)
        except (TypeError, ValueError):
            return self._encode_slowly(value)

    def _encode_slowly(self, value):
        pieces = []
        self._write(value, pieces.append, set())
        return "".join(pieces)

    def _write(self, value, write, parents):
        if isinstance(value, (str, bytes)):
            write(self._quote(value))
        elif value is None:
            write("null")
        elif value is True:
            write("true")
        elif value is False:
            write("false")
        elif isinstance(value, int):
            write(int.__repr__(value))
        elif isinstance(value, float):
            write(_number(value))
        elif isinstance(value, Decimal):
            write("NaN" if value.is_nan() else str(value))
        else:
            if id(value) in parents:
                raise ValueError("Circular reference detected")
            parents.add(id(value))
            self._write_container(value, write, parents)
            parents.discard(id(value))

    def _write_container(self, value, write, parents):
        fields = _named_fields(value)
        if fields is not None:
            self._write_object(fields, write, parents)
        elif isinstance(value, (list, tuple)):
            self._write_array(value, write, parents)
        elif isinstance(value, dict):
            self._write_object(value, write, parents)
        else:
            raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    def _write_array(self, values, write, parents):
        separator = "["
        for value in values:
            write(separator)
            separator = ", "
            self._write(value, write, parents)
        write("[]" if separator == "[" else "]")

    def _write_object(self, fields, write, parents):
        separator = "{"
        for key, value in fields.items():
            write(separator)
            separator = ", "
            write(self._quote(self._key(key)))
            write(": ")
            self._write(value, write, parents)
        write("{}" if separator == "{" else "}")

    def _key(self, key):
        if isinstance(key, (str, bytes)):
            return key
        if isinstance(key, float):
            return _number(key)
        if key is True:
            return "true"
        if key is False:
            return "false"
        if key is None:
            return "null"
        if isinstance(key, int):
            return int.__repr__(key)
        raise TypeError(_KEY_TEXT % type(key).__name__)

    def _quote(self, text):
        if isinstance(text, bytes):
            text = str(text, "utf-8")
        elif type(text) is not str:
            text = str.__str__(text)
        return self._text(text)


def decode(body):
    """Return the value of a JSON text in bytes. Raises ValueError."""
    text = str(body, "utf-8")
    try:
        return _decode(text)
    except _ConstantError:
        position = next(each.start() for each in _CONSTANT.finditer(text) if each.group(1))
        raise json.JSONDecodeError("Expecting value", text, position) from None


def _named_fields(value):
    method = getattr(value, "_asdict", None)
    if not callable(method):
        return None
    try:
        fields = method()
    except TypeError:
        return None
    if not isinstance(fields, dict):
        raise TypeError("_asdict() must return a dict, not %s" % (type(fields).__name__,))
    return fields


def _number(value):
    if value != value:
        return "NaN"
    if value == _INFINITY:
        return "Infinity"
    if value == -_INFINITY:
        return "-Infinity"
    return float.__repr__(value)

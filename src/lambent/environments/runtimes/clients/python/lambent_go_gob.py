"""Go's net/rpc over encoding/gob, as far as the messages of aws-lambda-go need it.

Python 3.8 and newer, standard library only. Source: Go's documentation of encoding/gob ("Encoding Details").
"""

_READ_BYTES = 262144
_BOOL, _INT, _UINT, _BYTES, _STRING = "bool", "int", "uint", "bytes", "string"
_TYPE_IDS = {_BOOL: 1, _INT: 2, _UINT: 3, _BYTES: 5, _STRING: 6}
_STRUCT_DEFINITION = 3


class _Struct:
    """A struct type: its fields in order, each a name and a type. A list holds the type of a slice's elements."""

    def __init__(self, name, fields):
        self.name = name
        self.fields = fields


_TIMESTAMP = _Struct("InvokeRequest_Timestamp", (("Seconds", _INT), ("Nanos", _INT)))
_INVOKE_REQUEST = _Struct(
    "InvokeRequest",
    (
        ("Payload", _BYTES),
        ("RequestId", _STRING),
        ("XAmznTraceId", _STRING),
        ("Deadline", _TIMESTAMP),
        ("InvokedFunctionArn", _STRING),
        ("CognitoIdentityId", _STRING),
        ("CognitoIdentityPoolId", _STRING),
        ("ClientContext", _BYTES),
    ),
)
_FRAME = _Struct("InvokeResponse_Error_StackFrame", (("Path", _STRING), ("Line", _INT), ("Label", _STRING)))
_ERROR = _Struct(
    "InvokeResponse_Error",
    (("Message", _STRING), ("Type", _STRING), ("StackTrace", [_FRAME]), ("ShouldExit", _BOOL)),
)
_INVOKE_RESPONSE = _Struct("InvokeResponse", (("Payload", _BYTES), ("Error", _ERROR)))
_CALL = _Struct("Request", (("ServiceMethod", _STRING), ("Seq", _UINT)))
_ANSWER = _Struct("Response", (("ServiceMethod", _STRING), ("Seq", _UINT), ("Error", _STRING)))


class Calls:
    """A client of one net/rpc server, one call at a time."""

    def __init__(self, connection):
        self._connection = connection
        self._encoder = Encoder()
        self._buffer = b""
        self._count = 0

    def call(self, method, request):
        """Return the fields of the answer. Raises EOFError, OSError when the server is gone."""
        self._count += 1
        head = self._encoder.message(_CALL, {"ServiceMethod": method, "Seq": self._count})
        self._connection.sendall(head + self._encoder.message(_INVOKE_REQUEST, request))
        answer = self._read(_ANSWER)
        error = answer.get("Error")
        if error:
            self._message()
            return {"Error": {"Message": error, "Type": "errorString"}}
        return self._read(_INVOKE_RESPONSE)

    def _read(self, struct):
        return decode(self._message(), struct)

    def _message(self):
        """Return the next value's bytes; definitions of types are passed over, for they are known here."""
        while True:
            data = self._take(self._take_unsigned())
            kind, at = _signed(data, 0)
            if kind >= 0:
                return data[at:]

    def _take_unsigned(self):
        first = self._take(1)[0]
        return first if first < 128 else int.from_bytes(self._take(256 - first), "big")

    def _take(self, size):
        while len(self._buffer) < size:
            piece = self._connection.recv(max(_READ_BYTES, size - len(self._buffer)))
            if not piece:
                raise EOFError
            self._buffer += piece
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


class Encoder:
    """Writes messages, each type's definition before its first value."""

    def __init__(self):
        self._ids = {}

    def message(self, struct, value):
        """Return the bytes of one value, with the definitions that the other end lacks."""
        definitions = []
        number = self._define(struct, definitions)
        body = _encode_signed(number) + _encode_struct(struct, value)
        return b"".join(_framed(each) for each in (*definitions, body))

    def _define(self, struct, definitions):
        if struct.name in self._ids:
            return self._ids[struct.name]
        number = self._ids[struct.name] = 65 + len(self._ids)
        fields = [
            (name, _TYPE_IDS[kind] if isinstance(kind, str) else self._define(kind, definitions))
            for name, kind in struct.fields
        ]
        common = b"\x01" + _encode_bytes(struct.name.encode()) + b"\x01" + _encode_signed(number) + b"\x00"
        listed = b"".join(
            b"\x01" + _encode_bytes(name.encode()) + b"\x01" + _encode_signed(kind) + b"\x00" for name, kind in fields
        )
        body = b"\x01" + common + b"\x01" + _encode_unsigned(len(fields)) + listed + b"\x00"
        definitions.append(_encode_signed(-number) + bytes([_STRUCT_DEFINITION]) + body + b"\x00")
        return number


def decode(data, struct):
    """Return the fields of a struct's encoded value; those with Go's zero value are not there."""
    return _decode_struct(data, 0, struct)[0]


def _encode_struct(struct, value):
    pieces = []
    last = -1
    for index, (name, kind) in enumerate(struct.fields):
        field = value.get(name)
        if not field:
            continue
        if kind == _STRING:
            encoded = _encode_bytes(field.encode("utf-8", "surrogateescape"))
        elif kind == _BYTES:
            encoded = _encode_bytes(field)
        elif kind == _INT:
            encoded = _encode_signed(field)
        elif kind == _UINT:
            encoded = _encode_unsigned(field)
        else:
            encoded = _encode_struct(kind, field)
        pieces += [_encode_unsigned(index - last), encoded]
        last = index
    return b"".join(pieces) + b"\x00"


def _decode_struct(data, at, struct):
    value = {}
    index = -1
    while True:
        delta, at = _unsigned(data, at)
        if delta == 0:
            return value, at
        index += delta
        name, kind = struct.fields[index]
        value[name], at = _decode(data, at, kind)


def _decode(data, at, kind):
    if isinstance(kind, _Struct):
        return _decode_struct(data, at, kind)
    if isinstance(kind, list):
        count, at = _unsigned(data, at)
        values = []
        for _ in range(count):
            value, at = _decode(data, at, kind[0])
            values.append(value)
        return values, at
    if kind == _INT:
        return _signed(data, at)
    number, at = _unsigned(data, at)
    if kind in (_BYTES, _STRING):
        value = data[at : at + number]
        return (value if kind == _BYTES else value.decode("utf-8", "replace")), at + number
    return (number if kind == _UINT else number != 0), at


def _framed(body):
    return _encode_unsigned(len(body)) + body


def _encode_bytes(data):
    return _encode_unsigned(len(data)) + data


def _encode_unsigned(number):
    if number < 128:
        return bytes([number])
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - len(data)]) + data


def _encode_signed(number):
    return _encode_unsigned(~number << 1 | 1 if number < 0 else number << 1)


def _unsigned(data, at):
    first = data[at]
    if first < 128:
        return first, at + 1
    end = at + 1 + 256 - first
    return int.from_bytes(data[at + 1 : end], "big"), end


def _signed(data, at):
    number, at = _unsigned(data, at)
    return (~(number >> 1) if number & 1 else number >> 1), at

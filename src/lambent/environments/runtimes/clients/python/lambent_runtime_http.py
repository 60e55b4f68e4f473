"""The Runtime API (2018-06-01) over one raw keep-alive connection.

An answer and the question for the next invocation leave in one write; the server's two answers come back in order.
Python 3.8 and newer, standard library only. Source: AWS Lambda developer guide, "Using the Lambda runtime API".
"""

import _socket
import sys

_PREFIX = "/2018-06-01/runtime/"
_READ_BYTES = 262144
_JOIN_BYTES_MAX = 1048576
# Larger causes are left out, as a head of this size is refused by the other end.
_CAUSE_BYTES_MAX = 32768
# A signal that arrives just before the wait begins would be seen only at its end: so it ends, every 0.2 s (a timeval).
# An idle environment is frozen and looks up only when it is thawed.
_LOOK_UP = (0).to_bytes(8, sys.byteorder) + (200000).to_bytes(8, sys.byteorder)


class RuntimeApiError(Exception):
    """The Runtime API went away or answered something it never should."""


class Invocation:
    """One answer of GET next. Header names are lower case."""

    __slots__ = ("body", "headers", "request_id")

    def __init__(self, headers, body):
        self.headers = headers
        self.body = body
        self.request_id = headers.get("lambda-runtime-aws-request-id")


class RuntimeApi:
    """The connection. Not for several threads at once."""

    def __init__(self, address, user_agent):
        self._address = address
        self._socket = None
        self._buffer = b""
        self._accepted = None
        self._pieces = 0
        head = "Host: %s\r\nUser-Agent: %s\r\n" % (address, user_agent)
        self._head = head.encode("latin-1")
        self._next_request = b"GET " + (_PREFIX + "invocation/next").encode() + b" HTTP/1.1\r\n" + self._head + b"\r\n"

    def next(self):
        """Ask for the next invocation and wait for it."""
        self._send(self._next_request)
        return self._read_invocation()

    def respond_and_next(self, request_id, body, content_type):
        """Send an invocation's result and wait for the next invocation."""
        return self._post_and_next(request_id, "/response", body, "Content-Type: %s\r\n" % content_type)

    def fail_and_next(self, request_id, body, error_type, cause):
        """Send an invocation's error and wait for the next invocation. `cause` is X-Ray's JSON."""
        headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %s\r\n" % _one_line(error_type)
        if len(cause) <= _CAUSE_BYTES_MAX:
            headers += "Lambda-Runtime-Function-XRay-Error-Cause: %s\r\n" % cause
        return self._post_and_next(request_id, "/error", body, headers)

    def fail(self, request_id, body, error_type):
        """Send an invocation's error, for a process that ends afterwards."""
        headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %s\r\n" % _one_line(error_type)
        self._send(self._post("invocation/" + request_id + "/error", body, headers))
        self._read_answer()

    def fail_init(self, body, error_type):
        """Report that the function could not be loaded."""
        headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: %s\r\n" % _one_line(error_type)
        self._send(self._post("init/error", body, headers))
        self._read_answer()

    def close(self):
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer = b""

    def _post(self, path, body, headers):
        head = "POST %s%s HTTP/1.1\r\n%sContent-Length: %d\r\n" % (_PREFIX, path, headers, len(body))
        return head.encode("utf-8") + self._head + b"\r\n" + body

    def _post_and_next(self, request_id, action, body, headers):
        request = self._post("invocation/" + request_id + action, body, headers)
        if len(request) <= _JOIN_BYTES_MAX:
            self._send(request + self._next_request)
        else:
            self._send(request)
            self._socket.sendall(self._next_request)
        # Accepted answers are the same bytes each time: the first one is read, the others are compared.
        if not self._buffer:
            self._buffer = self._receive()
        if self._accepted is not None and self._buffer.startswith(self._accepted):
            self._buffer = self._buffer[len(self._accepted) :]
            return self._read_invocation()
        before, pieces = self._buffer, self._pieces
        status, _, is_open, _ = self._read_answer()
        if not is_open:
            self.close()
            return self.next()
        if status == 202 and pieces == self._pieces:
            self._accepted = before[: len(before) - len(self._buffer)]
        return self._read_invocation()

    def _send(self, data):
        if self._socket is None:
            host, _, port = self._address.rpartition(":")
            # The module beneath `socket`, which the function may have replaced by one of its own.
            self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            self._socket.connect((host or self._address, int(port or 80)))
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, _LOOK_UP)
        self._socket.sendall(data)

    def _read_invocation(self):
        status, headers, is_open, body = self._read_answer()
        if not is_open:
            self.close()
        if status != 200:
            raise RuntimeApiError("Failed to get next invocation. Http Response code: %d" % status)
        return Invocation(headers, body)

    def _read_answer(self):
        """Return status, headers, whether the connection stays open, and the body."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        while end < 0:
            buffer += self._receive()
            end = buffer.find(b"\r\n\r\n")
        status_line, _, lines = buffer[:end].decode("utf-8", "surrogateescape").partition("\r\n")
        self._buffer = buffer[end + 4 :]
        try:
            status = int(status_line.split(" ", 2)[1])
        except (IndexError, ValueError):
            raise RuntimeApiError("The Runtime API sent no HTTP answer") from None
        if status == 100:
            return self._read_answer()
        headers = {}
        for line in lines.split("\r\n"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        is_open = "connection" not in headers or headers["connection"].lower() != "close"
        if "transfer-encoding" in headers and headers["transfer-encoding"].lower() == "chunked":
            return status, headers, is_open, self._read_chunks()
        return status, headers, is_open, self._take(int(headers.get("content-length") or 0))

    def _read_chunks(self):
        pieces = []
        while True:
            size = int(self._line().split(b";", 1)[0], 16)
            if size == 0:
                break
            pieces.append(self._take(size))
            self._line()
        while self._line():
            pass
        return b"".join(pieces)

    def _line(self):
        end = self._buffer.find(b"\r\n")
        while end < 0:
            self._buffer += self._receive()
            end = self._buffer.find(b"\r\n")
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def _take(self, size):
        buffer = self._buffer
        if len(buffer) < size:
            pieces = [buffer]
            missing = size - len(buffer)
            while missing > 0:
                piece = self._receive()
                pieces.append(piece)
                missing -= len(piece)
            buffer = b"".join(pieces)
        self._buffer = buffer[size:]
        return buffer[:size]

    def _receive(self):
        # A signal's Python code runs while this waits, and the wait goes on after it (PEP 475).
        while True:
            try:
                data = self._socket.recv(_READ_BYTES)
                break
            except BlockingIOError:
                continue
        self._pieces += 1
        if not data:
            self.close()
            raise RuntimeApiError("The Runtime API closed the connection")
        return data


def _one_line(text):
    return text.replace("\r", " ").replace("\n", " ")

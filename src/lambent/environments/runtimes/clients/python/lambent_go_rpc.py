"""Runs an old Go program: one whose library knows no Runtime API and serves net/rpc on a port instead.

Libraries before github.com/aws/aws-lambda-go 1.18 do so; AWS spoke to them under go1.x only. This program stands
between: the Runtime API on one side, calls of `Function.Invoke` in Go's gob encoding on the other.
Called as `python lambent_go_rpc.py PROGRAM`. Python 3.8 and newer, standard library only.
Source: the messages of aws-lambda-go, Go's documentation of encoding/gob and net/rpc.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lambent_go_gob as gob
import lambent_runtime_http

_CONNECT_PAUSE_SECONDS = 0.001
_PANIC_STATUS = 1


class Program:
    """The old program's process and the connection to it."""

    def __init__(self, path):
        port = _free_port()
        variables = dict(os.environ, _LAMBDA_SERVER_PORT=str(port))
        self._process = subprocess.Popen([path], env=variables)
        signal.signal(signal.SIGTERM, lambda number, frame: self._process.send_signal(number))
        self._calls = gob.Calls(self._connect(port))

    def invoke(self, request):
        """Return InvokeResponse's fields. Ends this process as the program ended, if it did."""
        try:
            return self._calls.call("Function.Invoke", request)
        except (EOFError, OSError):
            self.end_alike()

    def end_alike(self):
        """Wait for the program's end and end in the same way."""
        status = self._process.wait()
        if status < 0:
            if -status not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status)

    def kill(self):
        """End the program."""
        self._process.kill()
        self._process.wait()

    def _connect(self, port):
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                if self._process.poll() is not None:
                    self.end_alike()
                time.sleep(_CONNECT_PAUSE_SECONDS)


def main(path):
    """Answer invocations for ever."""
    api = lambent_runtime_http.RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"], "lambent-go1.x")
    try:
        program = Program(path)
    except OSError as error:
        _refuse_all(api, "fork/exec %s: %s" % (path, os.strerror(error.errno or 0).lower()))
    invocation = api.next()
    while True:
        response = program.invoke(_request(invocation))
        error = response.get("Error")
        if error is None:
            payload = response.get("Payload", b"")
            invocation = api.respond_and_next(invocation.request_id, payload, "application/json")
            continue
        kind = error.get("Type", "")
        if error.get("ShouldExit"):
            api.fail(invocation.request_id, _payload(error), kind)
            program.kill()
            os._exit(_PANIC_STATUS)
        invocation = api.fail_and_next(invocation.request_id, _payload(error), kind, "{}")


def _refuse_all(api, message):
    """Answer every invocation as AWS's go1.x does when there is nothing to start."""
    payload = json.dumps({"errorMessage": message, "errorType": "PathError"}, separators=(",", ":")).encode()
    invocation = api.next()
    while True:
        invocation = api.fail_and_next(invocation.request_id, payload, "PathError", "{}")


def _request(invocation):
    headers = invocation.headers
    deadline_ms = int(headers.get("lambda-runtime-deadline-ms") or 0)
    identity = headers.get("lambda-runtime-cognito-identity")
    identity = json.loads(identity) if identity else {}
    return {
        "Payload": invocation.body,
        "RequestId": invocation.request_id,
        "XAmznTraceId": headers.get("lambda-runtime-trace-id", ""),
        "Deadline": {"Seconds": deadline_ms // 1000, "Nanos": deadline_ms % 1000 * 1000000},
        "InvokedFunctionArn": headers.get("lambda-runtime-invoked-function-arn", ""),
        "CognitoIdentityId": identity.get("cognitoIdentityId", ""),
        "CognitoIdentityPoolId": identity.get("cognitoIdentityPoolId", ""),
        "ClientContext": headers.get("lambda-runtime-client-context", "").encode("utf-8", "surrogateescape"),
    }


def _payload(error):
    payload = {"errorMessage": error.get("Message", ""), "errorType": error.get("Type", "")}
    frames = error.get("StackTrace")
    if frames:
        payload["stackTrace"] = [
            {"path": each.get("Path", ""), "line": each.get("Line", 0), "label": each.get("Label", "")}
            for each in frames
        ]
    return json.dumps(payload, separators=(",", ":")).encode()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main(sys.argv[1])

"""Lambent's Python runtime: loads a function's handler and answers its invocations over the Runtime API.

A zygote calls `exercise` once, without a network, and its forks call `main`; `lambent_runtime_main.py` calls `main`
in a fresh interpreter. Python 3.8 and newer, standard library only. Texts and payloads are those of AWS's Python
runtime.
"""

import importlib
import io
import logging
import os
import sys
import time
import traceback

import lambent_runtime_context
import lambent_runtime_http
import lambent_runtime_json
import lambent_runtime_log
import lambent_runtime_modules

_HERE = os.path.dirname(os.path.abspath(__file__))
_UNHANDLED_TEXT = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. "
    "However, in rare cases, a Lambda runtime update can cause unexpected function behavior. "
    "For functions using managed runtimes, runtime updates can be triggered by a function change, or can be applied "
    "automatically. To determine if the runtime has been updated, check the runtime version in the INIT_START log "
    "entry. If this error correlates with a change in the runtime version, you may be able to mitigate this error by "
    "temporarily rolling back to the previous runtime version. For more information, see "
    "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)


class Fault(Exception):
    """An error that the runtime, not the function's code, has found."""

    def __init__(self, kind, message, trace=None):
        Exception.__init__(self, message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


def exercise():
    """Load everything that loads late, so that a fork's first invocation finds it. Needs no network."""
    lambent_runtime_modules.preload()
    encoder = lambent_runtime_json.Encoder(None)
    encoder.encode({"text": "\u00e9", "numbers": [1, 2.5, None, True], "odd": (len("x"), frozenset)[:1]})
    lambent_runtime_json.decode(b'{"key": ["value", 1, 2.5, true, null]}')
    variables = {"AWS_LAMBDA_LOG_FORMAT": "Text"}
    log = lambent_runtime_log.FunctionLog(variables, encoder.encode)
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%s", ("x",), None)
    log.current.filter(record)
    logging.Formatter(lambent_runtime_log._TEXT_FORMAT, "%Y-%m-%dT%H:%M:%S").format(record)
    lambent_runtime_log.JsonFormatter().format(record)
    _raised_payload(_raise_something(), None)
    repr(lambent_runtime_context.LambdaContext("id", {"client": {}}, None, 0))
    try:
        importlib.import_module("lambent_runtime_no_such_module")
    except ImportError:
        pass
    lambent_runtime_http.RuntimeApi("127.0.0.1:9001", "exercise").close()


def preload_sdk():
    """Load boto3 and what its first client loads, from /var/sdk. For a zygote of its own."""
    lambent_runtime_modules.preload_sdk()


def main(variables):
    """Be the function's process: load the handler, then answer invocations for ever. `variables` are in os.environ."""
    time.tzset()
    _open_streams()
    lambent_runtime_modules.arrange(variables, _HERE)
    encoder = lambent_runtime_json.Encoder(variables.get("AWS_EXECUTION_ENV"))
    log = lambent_runtime_log.FunctionLog(variables, encoder.encode)
    api = lambent_runtime_http.RuntimeApi(variables["AWS_LAMBDA_RUNTIME_API"], _user_agent())
    log.install()
    lambent_runtime_context.remember(variables)
    try:
        function = _load(variables.get("_HANDLER", ""))
    except Fault as fault:
        _fail_init(api, log, encoder, _payload(fault.message, fault.kind, fault.trace, None))
    except Exception:
        _fail_init(api, log, encoder, _raised_payload(sys.exc_info(), None)[0])
    _serve(api, log, encoder, function)


def _serve(api, log, encoder, function):
    stdout, stderr, current = sys.stdout, sys.stderr, log.current
    invocation = api.next()
    while True:
        request_id = current.request_id = invocation.request_id
        current.tenant_id = invocation.headers.get("lambda-runtime-aws-tenant-id")
        trace_id = invocation.headers.get("lambda-runtime-trace-id")
        if trace_id is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        error = None
        try:
            body, content_type = _call(function, invocation, encoder)
        except Fault as fault:
            error = _payload(fault.message, fault.kind, fault.trace, request_id)
            cause = _cause("LambdaValidationError", fault.message, [])
        except Exception:
            error, cause = _raised_payload(sys.exc_info(), request_id)
        if error is not None:
            log.report(error)
        if sys.stdout is not stdout:
            sys.stdout.flush()
        stdout.flush()
        stderr.flush()
        invocation = None
        if error is None:
            invocation = api.respond_and_next(request_id, body, content_type)
            body = None
        else:
            data = encoder.encode_error(error).encode("utf-8", "replace")
            invocation = api.fail_and_next(request_id, data, error["errorType"], encoder.encode(cause))


def _call(function, invocation, encoder):
    headers = invocation.headers
    context = lambent_runtime_context.LambdaContext(
        invocation.request_id,
        _header_json(headers.get("lambda-runtime-client-context"), "Client Context"),
        _header_json(headers.get("lambda-runtime-cognito-identity"), "Cognito Identity"),
        int(headers.get("lambda-runtime-deadline-ms") or 0),
        headers.get("lambda-runtime-invoked-function-arn"),
        headers.get("lambda-runtime-aws-tenant-id"),
    )
    event = invocation.body
    if headers.get("content-type", "application/json") == "application/json":
        try:
            event = lambent_runtime_json.decode(event)
        except Exception as error:
            raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from None
    result = function(event, context)
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return encoder.encode(result).encode("utf-8"), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from None


def _load(name):
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        reason = "not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, reason))
    if module_name.split(".")[0] in sys.builtin_module_names:
        text = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("Runtime.BuiltInModuleConflict", text)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        text = "Unable to import module '%s': %s" % (module_name, error)
        raise Fault("Runtime.ImportModuleError", text) from None
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        text = "Syntax error in module '%s': %s" % (module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", text, trace) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        text = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("Runtime.HandlerNotFound", text) from None


def _fail_init(api, log, encoder, error):
    logging.warning(_UNHANDLED_TEXT)
    log.report(error)
    sys.stdout.flush()
    api.fail_init(encoder.encode_error(error).encode("utf-8", "replace"), error["errorType"])
    sys.exit(1)


def _payload(message, kind, trace, request_id):
    return {"errorMessage": message or "", "errorType": kind or "", "requestId": request_id or "", "stackTrace": trace}


def _raised_payload(raised, request_id):
    """Return the error payload and X-Ray's cause of an exception, without this runtime's own frames."""
    kind, value, entries = raised
    frames = [(each.filename, each.lineno, each.name, each.line) for each in traceback.extract_tb(entries)]
    for index, frame in enumerate(frames):
        if frame[0] != __file__ and "/bootstrap.py" not in frame[0]:
            frames = frames[index:]
            break
    error = _payload(str(value), kind.__name__, traceback.format_list(frames), request_id)
    return error, _cause(kind.__name__, str(value), frames)


def _cause(kind, message, frames):
    stack = [{"label": name, "path": path, "line": line} for path, line, name, _ in frames]
    return {
        "working_directory": os.getcwd(),
        "exceptions": [{"message": message, "type": kind, "stack": stack}],
        "paths": list({path for path, _, _, _ in frames}),
    }


def _header_json(text, name):
    if not text:
        return None
    try:
        return lambent_runtime_json.decode(text.encode("utf-8", "surrogateescape"))
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error)) from None


def _open_streams():
    """Give the process streams that write whole lines at once."""
    for name, fd, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        raw = io.FileIO(fd, "w", closefd=False)
        stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=True)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def _user_agent():
    return "lambent-python/%d.%d.%d" % sys.version_info[:3]


def _raise_something():
    try:
        raise ValueError("exercise")
    except ValueError:
        return sys.exc_info()

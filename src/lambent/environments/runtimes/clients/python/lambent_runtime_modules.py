"""What is loaded before a function's code, and where its imports look."""

import builtins
import importlib
import os
import sys
import time
import types

# Each of these is loaded by AWS's own Python runtime too before it loads the handler (tested).
_PRELOADED = (
    "collections.abc",
    "contextlib",
    "decimal",
    "encodings.utf_8",
    "functools",
    "importlib",
    "json",
    "linecache",
    "logging",
    "numbers",
    "operator",
    "re",
    "string",
    "threading",
    "tokenize",
    "traceback",
    "types",
    "warnings",
    "weakref",
)
_SDK_DIRECTORY = "/var/sdk"
_OPT_DIRECTORY = "/opt"
_IDENTIFIER = "AWS_Lambda_python"


def preload():
    """Load the standard library's modules that every function needs."""
    for name in _PRELOADED:
        importlib.import_module(name)
    _give_site_names()


def preload_sdk():
    """Load boto3 with what its first client loads."""
    if _SDK_DIRECTORY not in sys.path:
        sys.path.append(_SDK_DIRECTORY)
    import boto3

    # A client of a small service loads parsers, signers, retries and the HTTP stack, but keeps nothing of it.
    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    session.client("sts")


def arrange(variables, runtime_directory):
    """Set working directory and module path, and let go of preloaded modules that the function has of its own."""
    root = variables.get("LAMBDA_TASK_ROOT") or os.getcwd()
    try:
        os.chdir(root)
    except OSError:
        pass
    site_packages = _site_directories()
    rest = [each for each in sys.path if each and each not in (root, runtime_directory, _SDK_DIRECTORY)]
    # Where sandboxes have no root of their own, these directories are elsewhere.
    opt = _given(variables, "LAMBENT_OPT_DIRECTORY", _OPT_DIRECTORY)
    layers = ["%s/python/lib/python%s/site-packages" % (opt, _version(variables)), opt + "/python"]
    first = [root, *layers, runtime_directory]
    sys.path[:] = first + [each for each in rest if each not in site_packages and each not in first]
    sdk = _given(variables, "LAMBENT_SDK_DIRECTORY", _SDK_DIRECTORY)
    if os.path.isdir(sdk):
        sys.path.append(sdk)
    sys.argv[:] = [os.path.join(runtime_directory, "bootstrap.py")]
    _let_go([root, *layers])
    _give_site_names()
    _start_anew()


def _let_go(directories):
    present = set()
    for directory in directories:
        try:
            present.update(name.split(".", 1)[0] for name in os.listdir(directory))
        except OSError:
            pass
    for name in present.intersection(name.split(".", 1)[0] for name in list(sys.modules)):
        if name in sys.builtin_module_names or name in _AT_START or name.startswith("lambent_runtime"):
            continue
        # A directory without Python code of its own hides nothing.
        spec = importlib._bootstrap_external.PathFinder.find_spec(name, directories)
        if spec is None or spec.origin is None:
            continue
        for loaded in list(sys.modules):
            if loaded == name or loaded.startswith(name + "."):
                del sys.modules[loaded]


def _start_anew():
    """Take back what a fork inherits and a fresh process would not have."""
    sys.path_importer_cache.clear()
    main = sys.modules.get("__main__")
    if main is not None and getattr(main, "__file__", None) is None:
        sys.modules["__main__"] = types.ModuleType("__main__")
        _kept.append(main)
    logging = sys.modules.get("logging")
    if logging is not None:
        logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()
    random = sys.modules.get("random")
    if random is not None:
        random.seed()


def _given(variables, name, default):
    """Return a variable that is for us and not for the function."""
    os.environ.pop(name, None)
    return variables.get(name, default)


def _version(variables):
    """Return the version that layers are made for: the declared one, whatever interpreter is here."""
    identifier = variables.get("AWS_EXECUTION_ENV", "")
    if identifier.startswith(_IDENTIFIER):
        return identifier[len(_IDENTIFIER) :]
    return "%d.%d" % sys.version_info[:2]


def _site_directories():
    site = sys.modules.get("site")
    if site is None:
        return ()
    found = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    return found


def _give_site_names():
    """Give the names exit, quit, copyright, credits and help, which an interpreter started with -S lacks."""
    if not hasattr(builtins, "exit"):
        import site

        site.setquit()
        site.setcopyright()
        site.sethelper()


# What any interpreter loads before any code of anybody's.
_AT_START = frozenset(
    "_abc _codecs _collections_abc _distutils_hack _frozen_importlib _frozen_importlib_external _imp _io _signal "
    "_sitebuiltins _stat _thread _warnings _weakref abc builtins codecs encodings genericpath io marshal os posix "
    "posixpath site stat sys time zipimport".split()
)
_kept = []

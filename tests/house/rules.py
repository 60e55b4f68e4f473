"""STYLE.md as functions: each takes a file and returns what breaks one rule, with the sentence that explains it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.house.source_tree import SourceFile

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6
FOLDER_FILES_MAX = 15

_BANNED_NAMES = frozenset(
    {"manager", "service", "helper", "util", "utility", "common", "base", "handler", "processor", "misc"}
)
# AWS's own words: ServiceException, and the logging handler that customers find by its class's name.
_ALLOWED_NAMES = frozenset({"ServiceError", "LambdaLoggerHandler"})
_UNFINISHED = re.compile(r"\b(TO" "DO|FIX" "ME|XX" r"X)\b")
_CLOCKS = frozenset(
    {
        *(
            f"time.{name}"
            for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
        ),
        *(f"time.{name}" for name in ("process_time", "process_time_ns", "clock_gettime", "clock_gettime_ns")),
        *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        *("date.today", "datetime.date.today"),
    }
)
_ENVIRONMENT = frozenset({"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"})
_MUTABLE = frozenset(
    {"dict", "list", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "ContextVar"}
    | {"Event", "Lock", "Queue"}
)
_MUTATORS = frozenset(
    {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "clear", "remove", "discard"}
)
# Called by the standard library under names it chose; its documentation says what they are for.
_CALLBACKS = frozenset(
    {"connection_made", "connection_lost", "data_received", "eof_received", "pause_writing", "resume_writing"}
    | {"datagram_received", "error_received", "emit", "format", "default", "find_spec"}
    | {"on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"}
    | {"on_chunk_header", "on_chunk_complete", "on_status"}
)
# Where a failure of ours becomes an answer or a line in the log instead of the end of the daemon, and why there.
_LAUNCHER = "lambent/environments/sandbox/launcher"
DOORS: dict[tuple[str, str], str] = {
    ("lambent/api/connection.py", "serve"): "one connection's outermost frame: it ends, the others go on",
    ("lambent/api/door.py", "answer"): "what is our fault becomes ServiceException here, logged once",
    ("lambent/neighbours/calls.py", "_serve"): "one connection of the child: it ends, the others go on",
    ("lambent/invocation/streamed.py", "_see_through"): "outermost frame of a streamed invocation's task",
    (
        "lambent/neighbours/program/stack_types/recovery.py",
        "_end",
    ): "outermost frame of a task; the stack says it failed",
    ("lambent/environments/pool.py", "_logged"): "outermost frame of an environment's task",
    ("lambent/store/sqlite/writer.py", "_commit"): "the failure is carried to the writers who wait for this batch",
    ("lambent/store/postgresql/writer.py", "_commit"): "the failure is carried to the writers who wait for this batch",
    (f"{_LAUNCHER}/guard.py", "_supervise"): "outermost frame of the supervisor's process",
    (f"{_LAUNCHER}/inside/init.py", "_prepare"): "outermost frame of a forked child, told to its parent",
    (f"{_LAUNCHER}/inside/init.py", "_reset"): "outermost frame of a forked child, told to its parent",
    (f"{_LAUNCHER}/inside/preparation.py", "run_python"): "the customer's code ends here, whatever it raised",
    (f"{_LAUNCHER}/inside/zygote.py", "main"): "outermost frame of the zygote's process",
    (f"{_LAUNCHER}/inside/zygote.py", "_serve"): "outermost frame of a forked child",
    (f"{_LAUNCHER}/zygotes.py", "_become"): "outermost frame of a forked child",
}
# These call the customer's code, which may raise anything; every one of their frames around it is a door.
CLIENTS = "lambent/environments/runtimes/clients/"


def long_files(file: SourceFile) -> Iterator[str]:
    """A file has at most FILE_LINES_MAX lines."""
    lines = file.text.count("\n")
    if lines > FILE_LINES_MAX and not file.is_generated:
        yield f"{file.path}: {lines} lines, at most {FILE_LINES_MAX}: split it by what a reader looks for"


def long_functions(file: SourceFile) -> Iterator[str]:
    """A function has at most FUNCTION_LINES_MAX lines."""
    for node in _functions(file):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{file.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"


def many_parameters(file: SourceFile) -> Iterator[str]:
    """A function has at most PARAMETERS_MAX parameters; then they are a dataclass."""
    if file.is_program:
        return
    for node in _functions(file):
        arguments = node.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        names += [one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None]
        if names and names[0] in ("self", "cls"):
            del names[0]
        if len(names) > PARAMETERS_MAX:
            yield f"{file.path}:{node.lineno}: {node.name} has {len(names)} parameters: make them a dataclass"


def banned_names(file: SourceFile) -> Iterator[str]:
    """No file and no class is called manager, service, helper …: such names say nothing about the thing."""
    if file.is_generated:
        return
    stem = PurePosixPath(file.path).stem
    if _words(stem) & _BANNED_NAMES:
        yield f"{file.path}: the file's name says nothing about the thing"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ClassDef) and node.name not in _ALLOWED_NAMES and _words(node.name) & _BANNED_NAMES:
            yield f"{file.path}:{node.lineno}: class {node.name}: the name says nothing about the thing"


def unfinished(file: SourceFile) -> Iterator[str]:
    """Nothing is left to do in the tree: an issue, or done."""
    for number, line in enumerate(file.text.splitlines(), 1):
        if _UNFINISHED.search(line):
            yield f"{file.path}:{number}: an issue, or done; not a note in the tree"


def module_state(file: SourceFile) -> Iterator[str]:
    """No state in modules: constants only, nothing changes them, importing does nothing."""
    # A runtime client is one process for one function: its modules are its state.
    if file.is_generated or file.path.startswith(CLIENTS):
        return
    constants: set[str] = set()
    for node in file.tree.body:
        yield from _module_statement(file, node)
        constants |= {target.id for target in _targets(node) if isinstance(target, ast.Name)}
    for inner in ast.walk(file.tree):
        if isinstance(inner, ast.Global):
            yield f"{file.path}:{inner.lineno}: global makes a module a variable"
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in inner.decorator_list:
                if _is_unbounded_cache(decorator):
                    yield f"{file.path}:{inner.lineno}: a cache without a bound is module state"
        if (
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Attribute)
            and inner.func.attr in _MUTATORS
            and isinstance(inner.func.value, ast.Name)
            and inner.func.value.id in constants
            and inner.func.value.id.lstrip("_").isupper()
        ):
            yield f"{file.path}:{inner.lineno}: {inner.func.value.id} is a constant and changed"


def loose_tasks(file: SourceFile) -> Iterator[str]:
    """Every task lives in a task group or is a run() loop started by app.py."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            for alias in node.names:
                if alias.name in ("create_task", "gather", "ensure_future"):
                    yield f"{file.path}:{node.lineno}: {alias.name}: use a TaskGroup"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            receiver = _dotted(node.func.value)
            is_loose = node.func.attr in ("gather", "ensure_future") and receiver == "asyncio"
            is_loose |= node.func.attr == "create_task" and ("loop" in receiver.lower() or receiver == "asyncio")
            if is_loose:
                yield f"{file.path}:{node.lineno}: {receiver}.{node.func.attr}: use a TaskGroup"


def environment_reads(file: SourceFile) -> Iterator[str]:
    """Only settings.py reads the environment."""
    if file.is_program or file.path == "lambent/settings.py":
        return
    yield from _uses(file, _ENVIRONMENT, "only settings.py reads the environment")


def clock_reads(file: SourceFile) -> Iterator[str]:
    """Only clock.py reads the clock."""
    if file.is_program or file.path == "lambent/clock.py":
        return
    yield from _uses(file, _CLOCKS, "only clock.py reads the clock; take a Clock by constructor")


def broad_excepts(file: SourceFile) -> Iterator[str]:
    """`except Exception` stands at a door or at the top of a run() loop, or cleans up and raises again."""
    if file.path.startswith(CLIENTS):
        return
    for function, handler in _handlers(file.tree, "<module>"):
        if not _is_broad(handler.type):
            continue
        is_raising_again = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
        is_loop = function == "run" or function.startswith("_run")
        if not is_raising_again and not is_loop and (file.path, function) not in DOORS:
            yield f"{file.path}:{handler.lineno}: except Exception in {function}: catch what you can answer"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and _dotted(node.func).endswith("suppress"):
            for argument in node.args:
                if _is_broad(argument):
                    yield f"{file.path}:{node.lineno}: suppress(Exception): suppress what you expect"


def crowded_folders(files: Iterable[SourceFile]) -> Iterator[str]:
    """A folder has at most FOLDER_FILES_MAX files; then it gets a sub-room."""
    counts = Counter(str(PurePosixPath(file.path).parent) for file in files if not file.is_generated)
    for folder, count in counts.items():
        if count > FOLDER_FILES_MAX:
            yield f"{folder}: {count} files, at most {FOLDER_FILES_MAX}: make a sub-room"


def undocumented(file: SourceFile) -> Iterator[str]:
    """Public modules, classes and functions say what they are."""
    if file.is_generated:
        return
    if not ast.get_docstring(file.tree) and file.tree.body:
        yield f"{file.path}: no docstring"
    owners: list[ast.Module | ast.ClassDef] = [file.tree]
    owners += [node for node in file.tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for owner in owners:
        for node in owner.body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if not node.name.startswith("_") and not ast.get_docstring(node) and not _is_short(node):
                yield f"{file.path}:{node.lineno}: {node.name} has no docstring"


def _is_short(node: ast.stmt) -> bool:
    # Accessors' setters and overloads say nothing their first form has not said.
    decorators = getattr(node, "decorator_list", [])
    if getattr(node, "name", "") in _CALLBACKS:
        return True
    return any(_dotted(one).endswith(("setter", "overload", "override")) for one in decorators)


def _is_unbounded_cache(decorator: ast.expr) -> bool:
    # With a bound, on a pure function, it cannot be observed but by its speed.
    if not isinstance(decorator, ast.Call):
        return _dotted(decorator).endswith("cache")
    bounds = [one.value for one in decorator.keywords if one.arg == "maxsize"]
    is_bounded = any(isinstance(bound, ast.Constant) and isinstance(bound.value, int) for bound in bounds)
    return _dotted(decorator.func).endswith("cache") and not is_bounded


def _module_statement(file: SourceFile, node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
        yield f"{file.path}:{node.lineno}: importing this file does something"
    if isinstance(node, (ast.For, ast.While, ast.With, ast.AugAssign, ast.Delete)):
        yield f"{file.path}:{node.lineno}: importing this file does something"
    value = getattr(node, "value", None) if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
    for target in _targets(node):
        if not isinstance(target, ast.Name):
            yield f"{file.path}:{node.lineno}: importing this file changes something"
            continue
        name = target.id
        is_logger = isinstance(value, ast.Call) and _dotted(value.func) == "logging.getLogger"
        is_constant = is_logger or name.lstrip("_").isupper() or name.lstrip("_")[:1].isupper() or name.startswith("__")
        if not is_constant:
            yield f"{file.path}:{node.lineno}: {name} is a variable of the module"
        if (
            isinstance(value, (ast.Dict, ast.List, ast.Set))
            and not ast.unparse(value).strip("[]{}")
            and name != "__all__"
        ):
            yield f"{file.path}:{node.lineno}: {name} begins empty: who fills it?"
        if isinstance(value, ast.Call) and _dotted(value.func).rpartition(".")[2] in _MUTABLE and not value.args:
            yield f"{file.path}:{node.lineno}: {name} begins empty: who fills it?"


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        found = []
        for target in node.targets:
            found += target.elts if isinstance(target, ast.Tuple) else [target]
        return found
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def _functions(file: SourceFile) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    if not file.is_generated:
        for node in ast.walk(file.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node


def _handlers(node: ast.AST, function: str) -> Iterator[tuple[str, ast.ExceptHandler]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ExceptHandler):
            yield function, child
        inner = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        yield from _handlers(child, inner)


def _is_broad(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(_dotted(one) in ("Exception", "BaseException") for one in kinds)


def _uses(file: SourceFile, names: frozenset[str], sentence: str) -> Iterator[str]:
    aliases = _aliases(file.tree)
    for node in ast.walk(file.tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            dotted = _dotted(node)
            first, _, rest = dotted.partition(".")
            full = aliases.get(first, first) + (f".{rest}" if rest else "")
            if full in names:
                yield f"{file.path}:{node.lineno}: {full}: {sentence}"


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Return local name → dotted name of what was imported."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "time"):
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "datetime":
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return aliases


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return _dotted(node.func) + "()" if isinstance(node, ast.Call) else ""


def _words(name: str) -> set[str]:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    words = {part.lower() for part in parts}
    return words | {word.removesuffix("s") for word in words}

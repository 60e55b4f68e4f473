"""Point 7: what handlers do beside answering at once: large payloads, long work, threads, files, sockets, processes."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

# Longer than the pause after which an idle environment is frozen (20 ms), by a lot.
FREEZE_SECONDS = 0.6

PAYLOADS = """
import base64, hashlib
def handler(event, context):
    if isinstance(event, int):
        return 'x' * event
    if 'binary' in event:
        data = base64.b64decode(event['binary'])
        return {'sha256': hashlib.sha256(data).hexdigest(), 'binary': base64.b64encode(data[::-1]).decode()}
    return len(event['text'])
"""
NODE_PAYLOADS = """
exports.handler = async (event) => (typeof event === 'number' ? 'x'.repeat(event) : event.text.length);
"""
LONG = """
import time
def handler(event, context):
    begun = context.get_remaining_time_in_millis()
    time.sleep(event)
    return [begun, context.get_remaining_time_in_millis()]
"""
WARM = """
import os, socket, threading, time
ticks = 0
def tick():
    global ticks
    while True:
        time.sleep(0.005)
        ticks += 1
threading.Thread(target=tick, daemon=True).start()
kept = open('/tmp/kept', 'a+')
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
served = listener.accept()[0]
calls = 0
def handler(event, context):
    global calls
    # At once, before anything else: what the clocks say right after the thaw.
    clocks = {'time': time.time(), 'monotonic': time.monotonic(), 'boot': time.clock_gettime(time.CLOCK_BOOTTIME)}
    calls += 1
    kept.write(f'{calls}\\n')
    kept.flush()
    kept.seek(0)
    client.sendall(b'%d' % calls)
    said = served.recv(100).decode()
    seen = ticks
    time.sleep(event.get('work', 0))
    return {'clocks': clocks, 'calls': calls, 'file': kept.read(), 'socket': said, 'pid': os.getpid(),
            'files': sorted(os.listdir('/tmp')), 'ticks': [seen, ticks]}
"""
LIMITS = """
import os, resource, subprocess, threading
def descriptors():
    opened = []
    try:
        while True:
            opened.append(os.open('/dev/null', os.O_RDONLY))
    except OSError as error:
        return [max(opened) + 1, error.strerror]
    finally:
        for descriptor in opened:
            os.close(descriptor)
def threads(wanted):
    release, started = threading.Event(), []
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=release.wait)
            thread.start()
            started.append(thread)
        return [len(started), None]
    except RuntimeError as error:
        return [len(started), str(error)]
    finally:
        release.set()
        for thread in started:
            thread.join()
def processes(wanted):
    children, end = [], os.pipe()
    try:
        for _ in range(wanted):
            child = os.fork()
            if not child:
                os.close(end[1])
                os.read(end[0], 1)
                os._exit(0)
            children.append(child)
        return [len(children), None]
    except OSError as error:
        return [len(children), error.strerror]
    finally:
        os.close(end[1])
        for child in children:
            os.waitpid(child, 0)
        os.close(end[0])
def handler(event, context):
    if event == 'programs':
        return [subprocess.run(['/bin/sh', '-c', f'echo {n}'], capture_output=True, text=True).stdout.strip()
                for n in range(20)]
    return globals()[event[0]](*event[1:])
"""


@pytest.fixture(scope="module")
def client(lambent_server: LambentServer) -> Any:
    """A client of the run's server, with the functions of this file."""
    found = lambent_server.client()
    create_function(found, "work-payloads", {"index.py": PAYLOADS}, MemorySize=512, Timeout=30)
    create_function(found, "work-node", {"index.js": NODE_PAYLOADS}, Runtime="nodejs20.x", MemorySize=512, Timeout=30)
    create_function(found, "work-long", {"index.py": LONG}, Timeout=900)
    create_function(found, "work-warm", {"index.py": WARM}, Timeout=30, MemorySize=1_769)
    create_function(found, "work-limits", {"index.py": LIMITS}, Timeout=60, MemorySize=1_769)
    return found


@pytest.mark.parametrize("name", ["work-payloads", "work-node"])
def test_six_megabytes_both_ways(client: Any, name: str) -> None:
    text = "y" * (6_291_456 - len('{"text": ""}'))
    assert invoke(client, name, {"text": text}) == len(text)
    assert invoke(client, name, 6_291_000) == "x" * 6_291_000


def test_binary_in_base64(client: Any) -> None:
    data = random.Random(7).randbytes(4_500_000)
    answer = invoke(client, "work-payloads", {"binary": base64.b64encode(data).decode()})
    assert answer["sha256"] == hashlib.sha256(data).hexdigest()
    assert base64.b64decode(answer["binary"]) == data[::-1]


def test_fifteen_minutes_are_told(client: Any) -> None:
    begun, left = invoke(client, "work-long", 0.2)
    assert 895_000 < left < begun <= 900_000
    assert begun - left >= 200
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.update_function_configuration(FunctionName="work-long", Timeout=901)
    assert "900" in refused.value.response["Error"]["Message"]


@pytest.mark.long
def test_longer_than_every_time_out_on_the_way(lambent_server: LambentServer) -> None:
    """No connection of ours, idle as it is, is given up while a function works."""
    client = lambent_server.client(read_timeout=120)
    create_function(client, "work-longest", {"index.py": LONG}, Timeout=100)
    begun, left = invoke(client, "work-longest", 70)
    assert 70_000 <= begun - left < 75_000


def warm(client: Any, **event: Any) -> dict[str, Any]:
    found: dict[str, Any] = invoke(client, "work-warm", event)
    return found


def test_threads_rest_between_invocations(client: Any) -> None:
    first = warm(client, work=0.5)
    # While the handler works they do too.
    assert first["ticks"][1] - first["ticks"][0] > 20
    time.sleep(FREEZE_SECONDS)
    second = warm(client)
    assert second["pid"] == first["pid"]
    # The environment runs 20 ms longer than its invocation, not 600: some ticks, nowhere near all.
    assert second["ticks"][0] - first["ticks"][1] < 60
    third = warm(client, work=0.5)
    assert third["ticks"][1] - third["ticks"][0] > 20


def test_the_clocks_are_right_after_a_thaw(client: Any) -> None:
    before = warm(client)
    time.sleep(FREEZE_SECONDS)
    asked = time.time()
    after = warm(client)
    answered = time.time()
    assert asked - 0.05 <= after["clocks"]["time"] <= answered + 0.05
    for clock in ("time", "monotonic", "boot"):
        assert after["clocks"][clock] - before["clocks"][clock] >= FREEZE_SECONDS


def test_what_is_open_stays_open(client: Any) -> None:
    first = warm(client)
    time.sleep(FREEZE_SECONDS)
    second = warm(client)
    assert second["calls"] == first["calls"] + 1
    assert second["file"] == first["file"] + f"{second['calls']}\n"
    assert (second["socket"], second["pid"]) == (str(second["calls"]), first["pid"])
    assert "kept" in second["files"]


def test_a_thousand_descriptors(client: Any) -> None:
    assert invoke(client, "work-limits", ["descriptors"]) == [1_024, "Too many open files"]
    # Given back, they are there again.
    assert invoke(client, "work-limits", ["descriptors"]) == [1_024, "Too many open files"]


def test_a_thousand_threads_or_processes(client: Any) -> None:
    assert invoke(client, "work-limits", ["threads", 900]) == [900, None]
    started, error = invoke(client, "work-limits", ["threads", 2_000])
    assert 900 <= started < 1_024
    assert "can't start new thread" in error
    assert invoke(client, "work-limits", ["processes", 300]) == [300, None]
    started, error = invoke(client, "work-limits", ["processes", 2_000])
    assert 900 <= started < 1_024
    assert error == "Resource temporarily unavailable"
    assert invoke(client, "work-limits", "programs") == [str(number) for number in range(20)]


def test_a_background_thread_does_not_hold_the_answer(client: Any) -> None:
    handler = """
import json, threading, time
finished = []
def later():
    time.sleep(0.3)
    finished.append(time.time())
def handler(event, context):
    if event == 'ask':
        return finished
    threading.Thread(target=later).start()
    return time.time()
"""
    create_function(client, "work-later", {"index.py": handler})
    begun = invoke(client, "work-later", "start")
    time.sleep(FREEZE_SECONDS)
    # It rested with the environment and goes on in the next invocation.
    deadline = time.monotonic() + 20
    while not (finished := invoke(client, "work-later", "ask")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert finished[0] - begun >= 0.3
    assert json.dumps(finished)

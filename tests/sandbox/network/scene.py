"""A small world in network namespaces of its own: a host, an internet, two environments. Run as a program.

The program itself is the host: it is started in a fresh network namespace, so the machine's own network is never
touched. It prints one JSON object with what was seen; the tests read it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from lambent.environments.sandbox.launcher import netlink
from lambent.environments.sandbox.launcher.outside import firewall
from lambent.environments.sandbox.launcher.outside.network import (
    HostNetwork,
    HostView,
    NetworkPlan,
    NetworkUnavailableError,
    link_prefix,
    sweep,
)

if TYPE_CHECKING:
    from collections.abc import Callable

INSTALLATION = "scene"
HOST, INTERNET = "203.0.113.2", "203.0.113.1"
HOST6, INTERNET6 = "2001:db8::2", "2001:db8::1"
OTHER_HOST_ADDRESS = "192.0.2.77"
METADATA = "169.254.169.254"
PORT, OPENED_PORT, LISTED_PORT = 7_007, 8_080, 7_443


def main(name: str) -> None:
    """Play one scene."""
    for program in ("ip link set lo up", f"ip addr add {OTHER_HOST_ADDRESS}/32 dev lo"):
        subprocess.run(program.split(), check=True)
    # A new namespace begins with the machine's own values.
    for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"):
        with open(path, "w") as file:
            file.write("0")
    seen: dict[str, Any] = SCENES[name]()
    sys.stdout.write(json.dumps(seen))


def open_scene() -> dict[str, Any]:
    """Everything allowed; the refusals must hold."""
    with_internet()
    network = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open"), (OPENED_PORT,)))
    first, second = environment(network), environment(network)
    for address in ("0.0.0.0", "::"):
        for port in (PORT, OPENED_PORT):
            serve(address, port)
    serve("127.0.0.1", OPENED_PORT + 1)
    inside(second.pid, lambda: serve_all(("0.0.0.0", PORT), ("0.0.0.0", 9_001), ("::", PORT)))
    targets = {
        "internet": (INTERNET, PORT),
        "internet ipv6": (INTERNET6, PORT),
        "host": (HOST, PORT),
        "host ipv6": (HOST6, PORT),
        "host's other address": (OTHER_HOST_ADDRESS, PORT),
        "host mapped": (f"::ffff:{HOST}", PORT),
        "gateway": (network.gateway_ipv4, PORT),
        "opened port": (network.gateway_ipv4, OPENED_PORT),
        "not opened port": (network.gateway_ipv4, OPENED_PORT + 1),
        "opened port at the host's address": (HOST, OPENED_PORT),
        "neighbour": (second.link.ipv4, PORT),
        "neighbour's runtime api": (second.link.ipv4, 9_001),
        "neighbour ipv6": (second.link.ipv6, PORT),
        "nobody in the pool": (first.link.ipv4.rsplit(".", 1)[0] + ".250", PORT),
        "metadata": (METADATA, 80),
        "metadata ipv6": ("fd00:ec2::254", 80),
        "any": ("0.0.0.0", PORT),
        "multicast": ("224.0.0.1", PORT),
        "broadcast": ("255.255.255.255", PORT),
        "nat64": ("64:ff9b::7f00:1", PORT),
    }
    asked = {label: targets[label] for label in ("internet", "internet ipv6", "host", "neighbour", "metadata")}
    seen: dict[str, Any] = {
        "tcp": inside(first.pid, lambda: {label: connect(target) for label, target in targets.items()}),
        "udp": inside(first.pid, lambda: {label: ask_datagram(target) for label, target in asked.items()}),
        "ipv4": first.link.ipv4,
    }
    seen["host sees"] = {"links": netlink.list_links("lv"), "notes": firewall.notes(INSTALLATION)}
    seen["many refusals"] = inside(first.pid, lambda: [connect((METADATA, 80)) for _ in range(50)])
    network.stop()
    seen["after stop"] = left_behind()
    return seen


def flood_scene() -> dict[str, Any]:
    """One environment opens as many flows as it can; the kernel's table is the host's as well."""
    with_internet()
    network = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open")))
    hostile, neighbour = environment(network), environment(network)
    inside(hostile.pid, lambda: send_everywhere(INTERNET, 12_000))
    with open("/proc/sys/net/netfilter/nf_conntrack_count") as count:
        return {"flows": int(count.read()), "neighbour": inside(neighbour.pid, lambda: connect((INTERNET, PORT)))}


def list_scene() -> dict[str, Any]:
    """Only one port of one address allowed."""
    internet = with_internet()
    inside(internet, lambda: serve(INTERNET, LISTED_PORT))
    plan = NetworkPlan(INSTALLATION, firewall.parse_egress(f"{INTERNET}:{LISTED_PORT},{HOST}:{PORT}"))
    network = started(plan)
    serve("0.0.0.0", PORT)
    only = environment(network)
    targets = {"listed": (INTERNET, LISTED_PORT), "not listed": (INTERNET, PORT), "host though listed": (HOST, PORT)}
    seen: dict[str, Any] = inside(only.pid, lambda: {label: connect(target) for label, target in targets.items()})
    return seen


def none_scene() -> dict[str, Any]:
    """Nothing allowed."""
    with_internet()
    only = environment(started(NetworkPlan(INSTALLATION, firewall.parse_egress("none"))))
    return {"internet": inside(only.pid, lambda: connect((INTERNET, PORT)))}


def killed_scene() -> dict[str, Any]:
    """A run ended without `stop`; another installation's things must stay."""
    with_internet()
    other = started(NetworkPlan("other", firewall.parse_egress("open")))
    network = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open")))
    left, kept = environment(network), environment(other)
    again = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open")))
    seen: dict[str, Any] = {
        "old link": left.link.host_name in netlink.list_links("lv"),
        "other's link": kept.link.host_name in netlink.list_links("lv"),
        "pools differ": left.link.ipv4.rsplit(".", 2)[0] != kept.link.ipv4.rsplit(".", 2)[0],
        "notes": sorted(firewall.notes(INSTALLATION) + firewall.notes("other")),
        "works": inside(environment(again).pid, lambda: connect((INTERNET, PORT))),
    }
    other.stop()
    seen["still works"] = inside(environment(again).pid, lambda: connect((INTERNET, PORT)))
    again.refresh()
    other = started(NetworkPlan("other", firewall.parse_egress("open")))
    again.stop()
    seen["other works"] = inside(environment(other).pid, lambda: connect((INTERNET, PORT)))
    seen["notes handed on"] = len(firewall.notes("other"))
    other.stop()
    sweep(INSTALLATION)
    seen["left"] = left_behind()
    return seen


def many_scene() -> dict[str, Any]:
    """Three hundred links, and a failing one that leaves nothing."""
    network = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open")))
    environments = [environment(network) for _ in range(300)]
    before = len(netlink.list_links("lv"))
    try:
        network.create_link(2**22 - 3)
    except OSError as error:
        failure = type(error).__name__
    after = len(netlink.list_links("lv"))
    addresses = len({each.link.ipv4 for each in environments} | {each.link.ipv6 for each in environments})
    for each in environments:
        os.kill(each.pid, 9)
        os.waitpid(each.pid, 0)
        network.release_link(each.link)
    while netlink.list_links(link_prefix(INSTALLATION)):
        time.sleep(0.01)
    network.stop()
    return {"before": before, "after": after, "failure": failure, "addresses": addresses, "left": left_behind()}


def obstacle_scene() -> dict[str, Any]:
    """A host whose own firewall forwards nothing, as a container engine leaves it."""
    with_internet()
    network = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open")))
    seen: dict[str, Any] = {"before": network.obstacles()}
    chain = "table ip filter {\n chain FORWARD {\n type filter hook forward priority filter; policy drop;\n }\n}\n"
    firewall.load(chain)
    return seen | {"after": network.obstacles()}


def no_nft_scene() -> dict[str, Any]:
    """Without the firewall there is no network at all."""
    firewall._SEARCH_PATH = "/nowhere"
    try:
        HostNetwork(NetworkPlan(INSTALLATION, firewall.parse_egress("open"))).start()
    except NetworkUnavailableError as error:
        return {"reason": str(error), "left": left_behind()}
    return {}


def refresh_scene() -> dict[str, Any]:
    """A host seen from a namespace of our own (level 1): its new addresses are refused soon."""
    internet = with_internet()
    view = inside(internet, lambda: HostView(netlink.Netlink(), netlink.watch_addresses()))
    network = started(NetworkPlan(INSTALLATION, firewall.parse_egress("open"), host_view=view))
    only = environment(network)
    inside(internet, lambda: serve("0.0.0.0", PORT + 1))
    seen = {"host": inside(only.pid, lambda: connect((INTERNET, PORT)))}
    route = f"ip route add 198.51.100.9/32 via {INTERNET}"
    subprocess.run(route.split(), check=True)
    subprocess.run(
        ["nsenter", "-t", str(internet), "-n", "ip", "addr", "add", "198.51.100.9/32", "dev", "lo"], check=True
    )
    seen["before refresh"] = inside(only.pid, lambda: connect(("198.51.100.9", PORT + 1)))
    network.refresh()
    seen["after refresh"] = inside(only.pid, lambda: connect(("198.51.100.9", PORT + 1)))
    return seen


class Environment:
    """A process in a network namespace of its own, with a link."""

    def __init__(self, network: HostNetwork) -> None:
        self.pid = namespace()
        self.link = network.create_link(self.pid)
        inside(self.pid, lambda: netlink.configure_inside(netlink.Link(*json.loads(json.dumps(self.link)))))


def environment(network: HostNetwork) -> Environment:
    """Make one."""
    return Environment(network)


def started(plan: NetworkPlan) -> HostNetwork:
    """Start a network."""
    network = HostNetwork(plan)
    network.start()
    return network


def with_internet() -> int:
    """Make the internet: a namespace that answers on two addresses and says where a caller came from."""
    pid = namespace()
    commands = f"""
        ip link add up0 type veth peer name eth0 netns {pid}
        ip addr add {HOST}/24 dev up0
        ip -6 addr add {HOST6}/64 dev up0 nodad
        ip link set up0 addrgenmode none up
        nsenter -t {pid} -n ip link set lo up
        nsenter -t {pid} -n ip addr add {INTERNET}/24 dev eth0
        nsenter -t {pid} -n ip addr add {METADATA}/32 dev lo
        nsenter -t {pid} -n ip -6 addr add {INTERNET6}/64 dev eth0 nodad
        nsenter -t {pid} -n ip link set eth0 addrgenmode none up
        ip route add default via {INTERNET}
        ip -6 route add default via {INTERNET6}
    """
    for command in commands.strip().splitlines():
        subprocess.run(command.split(), check=True)
    inside(pid, lambda: serve_all(("0.0.0.0", PORT), ("::", PORT), (METADATA, 80)))
    return pid


def namespace() -> int:
    """Fork a process that sits in a new network namespace until this program ends."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _call("prctl", 1, 9, 0, 0, 0)
        _call("unshare", 0x40000000)
        os.write(write_end, b"1")
        while True:
            time.sleep(1_000)
    os.close(write_end)
    os.read(read_end, 1)
    os.close(read_end)
    return pid


def inside(pid: int, act: Callable[[], Any]) -> Any:
    """Act in another network namespace and return the answer; sockets made there stay there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    _call("setns", there, 0)
    try:
        return act()
    finally:
        _call("setns", home, 0)
        os.close(home)
        os.close(there)


def serve_all(*addresses: tuple[str, int]) -> None:
    """Serve on several addresses."""
    for address, port in addresses:
        serve(address, port)


def serve(address: str, port: int) -> None:
    """Answer on TCP and UDP with the caller's address, in threads (their sockets stay in this namespace)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    stream = socket.socket(family, socket.SOCK_STREAM)
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for each in (stream, datagrams):
        if family == socket.AF_INET6:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        each.bind((address, port))
    stream.listen(128)
    threading.Thread(target=_answer_streams, args=(stream,), daemon=True).start()
    threading.Thread(target=_answer_datagrams, args=(datagrams,), daemon=True).start()


def _answer_streams(listener: socket.socket) -> None:
    while True:
        connection, caller = listener.accept()
        connection.sendall(caller[0].encode())
        connection.close()


def _answer_datagrams(datagrams: socket.socket) -> None:
    while True:
        _, caller = datagrams.recvfrom(64)
        datagrams.sendto(caller[0].encode(), caller)


def connect(target: tuple[str, int]) -> str:
    """Return what a TCP server said, or how it failed."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(target)
            return connection.recv(64).decode()
    except OSError as error:
        return type(error).__name__


def send_everywhere(address: str, ports: int) -> None:
    """Send a datagram to each of the first ports."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for port in range(1, ports + 1):
            with contextlib.suppress(OSError):
                datagrams.sendto(b"x", (address, port))


def ask_datagram(target: tuple[str, int]) -> str:
    """Return what a UDP server said, or how it failed."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connection.settimeout(5)
            connection.connect(target)
            connection.send(b"x")
            return connection.recv(64).decode()
    except OSError as error:
        return type(error).__name__


def left_behind() -> dict[str, Any]:
    """What a stopped network should have taken back."""
    channel = netlink.Netlink()
    ruleset = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    with open("/proc/sys/net/ipv4/ip_forward") as ipv4, open("/proc/sys/net/ipv6/conf/all/forwarding") as ipv6:
        forwarding = [ipv4.read().strip(), ipv6.read().strip()]
    return {
        "links": netlink.list_links("lv"),
        "routes": [route.destination for route in netlink.routes(channel) if route.protocol == netlink.ROUTE_PROTOCOL],
        "ruleset": ruleset,
        "forwarding": forwarding,
    }


def _call(name: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


SCENES: dict[str, Callable[[], dict[str, Any]]] = {
    "open": open_scene,
    "flood": flood_scene,
    "list": list_scene,
    "none": none_scene,
    "killed": killed_scene,
    "many": many_scene,
    "no_nft": no_nft_scene,
    "obstacle": obstacle_scene,
    "refresh": refresh_scene,
}

if __name__ == "__main__":
    main(sys.argv[1])

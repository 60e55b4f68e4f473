"""What the supervisor needs of the host's network: a pool of addresses, a link per environment, the rules between.

Works on the network namespace the supervisor lives in: the host's when it is root, the one behind pasta when rootless.
Everything that outlives a killed supervisor (table, reserved prefixes, forwarding switched on) carries the
installation's id and is found again by `sweep`; links end with their environments.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import ipaddress
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import netlink
from . import firewall

_POOL_LENGTH_IPV4 = 20
_POOL_LENGTH_IPV6 = 64
# Ranges nobody routes: first the benchmark range, then that of carrier-grade NAT.
_RANGES_IPV4 = ("198.18.0.0/15", "100.64.0.0/10")
# Routes shorter than this are defaults in disguise (a VPN's 0.0.0.0/1) and claim nothing for themselves.
_CLAIM_LENGTH_MIN = 8
_GATEWAY_INDEX = 1
_INDEX_FIRST = 2
_LINKS_MAX = (1 << (32 - _POOL_LENGTH_IPV4)) - 1 - _INDEX_FIRST
_ATTEMPTS = 16
_IPV4_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_IPV6_FORWARD = Path("/proc/sys/net/ipv6/conf/all/forwarding")
_NOTES = {_IPV4_FORWARD: "note_ipv4_forwarding_was_off", _IPV6_FORWARD: "note_ipv6_forwarding_was_off"}


class NetworkUnavailableError(Exception):
    """There will be no egress; the message is the reason for `doctor`."""


@dataclass(frozen=True, slots=True)
class HostView:
    """How a launcher that has left the host's network namespace still sees it: two sockets made there.

    `more_addresses` are refused like the host's own.
    """

    netlink: netlink.Netlink
    watcher: socket.socket
    more_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The settings. `host_view` is there when the supervisor has left the host's network namespace (L1)."""

    installation_id: str
    egress: firewall.Egress
    host_ports: tuple[int, ...] = ()
    host_view: HostView | None = field(default=None, compare=False)


class HostNetwork:
    """Owner of the links. Scope: node. After a crash `start` of the next run clears what was left."""

    def __init__(self, plan: NetworkPlan) -> None:
        self._plan = plan
        self._mark = hashlib.sha256(plan.installation_id.encode()).digest()
        self._owner = _owner(plan.installation_id)
        self._netlink = netlink.Netlink()
        self._used: set[int] = set()
        self._last = _INDEX_FIRST - 1
        self._rules: firewall.Rules | None = None
        self.watcher: socket.socket | None = None

    @property
    def link_prefix(self) -> str:
        """The prefix that the installation's link names share."""
        return link_prefix(self._plan.installation_id)

    @property
    def gateway_ipv4(self) -> str:
        """The address that `host.lambent.internal` means."""
        return self._started().gateway_ipv4

    def obstacles(self) -> str:
        """Return why packets may not pass although the rules are loaded, for `doctor`; nothing when they may."""
        chains = firewall.forward_blockers(self._plan.installation_id)
        if not chains:
            return ""
        return (
            f"the host's own firewall drops forwarded packets by default ({', '.join(chains)}): accept those that come "
            f"from or go to interfaces {self.link_prefix}*"
        )

    def start(self) -> None:
        """Sweep, reserve prefixes, switch forwarding on, load the rules.

        Raises NetworkUnavailableError; then nothing is left behind.
        """
        try:
            remembered = set(firewall.notes(self._plan.installation_id))
            _clear_links_and_prefixes(self._netlink, self._plan.installation_id)
            rules = self._choose_rules()
            # The rules come first: at no moment is there a way out without them.
            firewall.load(firewall.ruleset(rules))
            self._rules = rules
            paths = [_IPV4_FORWARD, *([_IPV6_FORWARD] if rules.has_ipv6_route else [])]
            noted = {_NOTES[path] for path in paths if not _is_on(path)}
            self._rules = replace(rules, notes=tuple(sorted(noted | remembered)))
            firewall.load(firewall.ruleset(self._rules))
            for path in paths:
                _switch_on(path)
            for prefix in (rules.pool_ipv4, rules.pool_ipv6):
                self._reserve(prefix)
            view = self._plan.host_view
            self.watcher = netlink.watch_addresses() if view is None else view.watcher
        except (firewall.FirewallError, OSError) as error:
            self.stop()
            raise NetworkUnavailableError(str(error)) from error

    def create_link(self, netns_pid: int) -> netlink.Link:
        """Make one link into the namespace of `netns_pid`. Raises OSError: it fails one environment only."""
        rules = self._started()
        for _ in range(_ATTEMPTS):
            index = self._next_index()
            link = self._link(rules, index)
            try:
                netlink.create_link(self._netlink, link, netns_pid, has_host_ports=bool(rules.host_ports))
            except OSError as error:
                if error.errno != errno.EEXIST:  # the namesake of an environment that is still ending
                    raise
            else:
                self._used.add(index)
                return link
        raise OSError(errno.EBUSY, "every link name tried is still in use")

    def release_link(self, link: netlink.Link) -> None:
        """Note that an environment ended; its link goes with its namespace, its address rests until the next turn."""
        rules = self._started()
        first = ipaddress.IPv4Network(rules.pool_ipv4).network_address
        self._used.discard(int(ipaddress.IPv4Address(link.ipv4)) - int(first))

    def refresh(self) -> None:
        """Read the watcher empty and load the rules again if the host's addresses or routes changed.

        Raises NetworkUnavailableError.
        """
        if self.watcher is not None:
            # ENOBUFS says that there was more news than fits; the answer to it is the same.
            with contextlib.suppress(OSError):
                while self.watcher.recv(65_536):
                    pass
        rules = self._started()
        try:
            current = replace(
                rules,
                host_addresses=self._refused_addresses(),
                has_ipv6_route=rules.has_ipv6_route and self._has_ipv6_route(),
            )
            if current != rules:
                # Only now: asking costs a process, and the news is mostly that of our own links.
                current = replace(current, notes=firewall.notes(self._plan.installation_id))
                firewall.load(firewall.ruleset(current))
                self._rules = current
        except (firewall.FirewallError, OSError) as error:
            raise NetworkUnavailableError(str(error)) from error

    def stop(self) -> None:
        """Take everything back: links, prefixes, forwarding that we switched on, the table. Never raises."""
        if self.watcher is not None:
            self.watcher.close()
            self.watcher = None
        sweep(self._plan.installation_id)
        self._rules = None

    def _started(self) -> firewall.Rules:
        if self._rules is None:
            raise NetworkUnavailableError("the network was not started")
        return self._rules

    def _choose_rules(self) -> firewall.Rules:
        taken = netlink.routes(self._netlink)
        if self._plan.host_view is not None:
            taken += netlink.routes(self._plan.host_view.netlink)
        pool = choose_pool(self._plan.installation_id, taken)
        return firewall.Rules(
            installation_id=self._plan.installation_id,
            link_prefix=self.link_prefix,
            pool_ipv4=str(pool),
            pool_ipv6=str(_pool_ipv6(self._plan.installation_id)),
            gateway_ipv4=str(pool[_GATEWAY_INDEX]),
            egress=self._plan.egress,
            host_ports=self._plan.host_ports,
            host_addresses=self._refused_addresses(),
            has_ipv6_route=self._has_ipv6_route(),
        )

    def _refused_addresses(self) -> tuple[str, ...]:
        """Addresses of a host whose namespace is not ours; our own the rules find by themselves, at every packet."""
        view = self._plan.host_view
        return () if view is None else (*netlink.host_addresses(view.netlink), *view.more_addresses)

    def _has_ipv6_route(self) -> bool:
        return any(
            route.length == 0 and route.family == socket.AF_INET6 and route.is_unicast
            for route in netlink.routes(self._netlink)
        )

    def _reserve(self, prefix: str) -> None:
        network = ipaddress.ip_network(prefix)
        if network.version == 6 and not _IPV6_FORWARD.exists():
            return
        netlink.reserve_prefix(self._netlink, str(network.network_address), network.prefixlen, self._owner)

    def _next_index(self) -> int:
        """Return a free index in rotation, so that an address rests before it is used again."""
        for step in range(_LINKS_MAX):
            index = _INDEX_FIRST + (self._last - _INDEX_FIRST + 1 + step) % _LINKS_MAX
            if index not in self._used:
                self._last = index
                return index
        raise OSError(errno.EADDRNOTAVAIL, f"all {_LINKS_MAX} links are in use")

    def _link(self, rules: firewall.Rules, index: int) -> netlink.Link:
        pool = ipaddress.IPv4Network(rules.pool_ipv4)
        pool_ipv6 = ipaddress.IPv6Network(rules.pool_ipv6)
        tail = f"{self._mark[0]:02x}:{self._mark[1]:02x}:{index >> 8:02x}:{index & 255:02x}"
        return netlink.Link(
            host_name=f"{rules.link_prefix}{index:x}",
            ipv4=str(pool[index]),
            ipv6=str(pool_ipv6[index]) if rules.has_ipv6_route else "",
            gateway_ipv4=rules.gateway_ipv4,
            gateway_ipv6=str(pool_ipv6[_GATEWAY_INDEX]) if rules.has_ipv6_route else "",
            host_mac=f"02:4c:{tail}",
            inside_mac=f"06:4c:{tail}",
        )


def link_prefix(installation_id: str) -> str:
    """Return what an installation's link names begin with; of one length, so that none begins with another."""
    return "lv" + hashlib.sha256(installation_id.encode()).hexdigest()[:8]


def choose_pool(installation_id: str, taken: list[netlink.Route]) -> ipaddress.IPv4Network:
    """Return a prefix that no route claims; where the search begins follows from the id. Raises OSError."""
    claimed = [
        ipaddress.IPv4Network(f"{route.destination}/{route.length}", strict=False)
        for route in taken
        if route.family == socket.AF_INET and route.length >= _CLAIM_LENGTH_MIN
    ]
    start = int.from_bytes(hashlib.sha256(installation_id.encode()).digest()[:4], "big")
    for wide in _RANGES_IPV4:
        candidates = list(ipaddress.IPv4Network(wide).subnets(new_prefix=_POOL_LENGTH_IPV4))
        for step in range(len(candidates)):
            candidate = candidates[(start + step) % len(candidates)]
            if not any(candidate.overlaps(network) for network in claimed):
                return candidate
    raise OSError(errno.EADDRNOTAVAIL, "every private prefix tried is routed elsewhere on this machine")


def sweep(installation_id: str) -> None:
    """Take back what an installation left behind, and nobody else's. The table goes last. Never raises.

    Forwarding that it switched on stays on while another installation lives here, which then inherits the duty.
    """
    with contextlib.suppress(OSError, firewall.FirewallError):
        remembered = firewall.notes(installation_id)
        channel = netlink.Netlink()
        try:
            _clear_links_and_prefixes(channel, installation_id)
        finally:
            channel.close()
        heir = firewall.other_table(installation_id)
        if heir is None:
            for path, note in _NOTES.items():
                if note in remembered:
                    path.write_text("0")
        firewall.remove(installation_id, heir, remembered)


def _clear_links_and_prefixes(channel: netlink.Netlink, installation_id: str) -> None:
    for name in netlink.list_links(link_prefix(installation_id)):
        netlink.delete_link(channel, name)
    for route in netlink.routes(channel):
        if route.protocol == netlink.ROUTE_PROTOCOL and route.priority == _owner(installation_id):
            netlink.release_prefix(channel, route.destination, route.length, route.priority)


def _owner(installation_id: str) -> int:
    """Return the metric that marks an installation's reserved prefixes; zero would mean the kernel's own choice."""
    return int.from_bytes(hashlib.sha256(installation_id.encode()).digest()[4:8], "big") | 1


def _pool_ipv6(installation_id: str) -> ipaddress.IPv6Network:
    """Return a unique local prefix (RFC 4193) that follows from the id."""
    digest = hashlib.sha256(installation_id.encode()).digest()
    return ipaddress.IPv6Network((b"\xfd" + digest[:7] + bytes(8), _POOL_LENGTH_IPV6))


def _is_on(path: Path) -> bool:
    return path.read_text().strip() != "0"


def _switch_on(path: Path) -> None:
    if _is_on(path):
        return
    if path is _IPV6_FORWARD:
        # A router forgets the default routes it learned by advertisement, unless it is told to go on accepting them.
        for accept in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
            if accept.read_text().strip() == "1":
                accept.write_text("2")
    path.write_text("1")

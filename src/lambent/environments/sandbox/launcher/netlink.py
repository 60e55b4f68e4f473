"""Links, addresses and routes by rtnetlink. Standard library only; Python 3.8 and newer, for it also runs inside.

A link is a routed veth pair: no bridge, a /32 and a /128 route on the host, fixed neighbours at both ends, so that no
packet ever waits for ARP. One batch of messages each way; the kernel answers every message with its errno.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

INSIDE_NAME = "eth0"
# Marks our routes in `ip route`; ours alone by this and by the metric that the caller gives.
ROUTE_PROTOCOL = 76

_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _DUMP, _REPLACE = 0x1, 0x4, 0x200, 0x400, 0x300, 0x100
_ERROR, _DONE = 2, 3
_NEW_LINK, _DELETE_LINK = 16, 17
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_NEIGHBOUR = 28
_IFF_UP = 1
_IFA_F_NODAD = 2
_RTNH_F_ONLINK = 4
_NUD_PERMANENT = 0x80
_TABLE_MAIN = 254
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_ROUTE_UNICAST, _ROUTE_UNREACHABLE = 1, 7
_ROUTE_PRIORITY = 6
_SEND_REDIRECTS, _ROUTE_LOCALNET = 6, 26
_GROUP_IPV4_ADDRESS, _GROUP_IPV6_ADDRESS, _GROUP_IPV6_ROUTE = 0x10, 0x100, 0x400
_ANSWER_SECONDS = 5.0


class NetlinkError(OSError):
    """The kernel refused a message."""


class Link(NamedTuple):
    """One environment's link. `ipv6` and `gateway_ipv6` are empty on a host without IPv6.

    The gateway is an address nobody has: the inside sends everything to `host_mac`, and the host routes.
    """

    host_name: str
    ipv4: str
    ipv6: str
    gateway_ipv4: str
    gateway_ipv6: str
    host_mac: str
    inside_mac: str


class Route(NamedTuple):
    """One route of any table: `length` is the prefix length, `priority` the metric."""

    family: int
    destination: str
    length: int
    protocol: int
    priority: int
    is_unicast: bool


class Netlink:
    """A rtnetlink socket. It speaks for the network namespace it was made in, whatever its owner joins later."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(_ANSWER_SECONDS)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, *messages: tuple[int, int, bytes]) -> None:
        """Send (type, flags, body) messages as one batch. Raises NetlinkError at the first that was refused."""
        first = self._sequence + 1
        batch = b""
        for kind, flags, body in messages:
            self._sequence += 1
            batch += struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, self._sequence, 0) + body
        self._socket.send(batch)
        failure = 0
        answered = first - 1
        while answered < self._sequence:
            for kind, sequence, body in _split(self._socket.recv(65_536)):
                if kind == _ERROR and sequence >= first:
                    answered = max(answered, sequence)
                    failure = failure or -int(struct.unpack_from("=i", body)[0])
        if failure:
            raise NetlinkError(failure, os.strerror(failure))

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of everything of a kind. Raises NetlinkError."""
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _DUMP, self._sequence, 0)
        self._socket.send(header + body)
        found: list[bytes] = []
        while True:
            for answer, sequence, content in _split(self._socket.recv(262_144)):
                if sequence != self._sequence:
                    continue
                if answer == _DONE:
                    return found
                if answer == _ERROR:
                    number = -int(struct.unpack_from("=i", content)[0])
                    raise NetlinkError(number, os.strerror(number))
                found.append(content)


def bring_up_loopback() -> None:
    """Bring `lo` of this network namespace up. Raises OSError."""
    netlink = Netlink()
    try:
        netlink.request(_link_up(socket.if_nametoindex("lo")))
    finally:
        netlink.close()


def create_link(netlink: Netlink, link: Link, netns_pid: int, *, has_host_ports: bool = False) -> None:
    """Make the pair with its inner end in the namespace of `netns_pid`, and route its addresses (about 0.4 ms).

    `has_host_ports` lets packets between the link and 127.0.0.0/8 pass routing, for the firewall to translate.
    Raises OSError; then nothing of the link is left.
    """
    peer = (
        _interface()
        + _attribute(3, INSIDE_NAME.encode() + b"\0")
        + _attribute(1, _mac(link.inside_mac))
        + _attribute(19, struct.pack("=I", netns_pid))
    )
    veth = _attribute(1, b"veth\0") + _nest(2, _attribute(1, peer))
    body = (
        _interface()
        + _attribute(3, link.host_name.encode() + b"\0")
        + _attribute(1, _mac(link.host_mac))
        + _nest(18, veth)
    )
    netlink.request((_NEW_LINK, _CREATE | _EXCLUSIVE, body))
    try:
        index = socket.if_nametoindex(link.host_name)
        # AF_SPEC in the creating message is EAFNOSUPPORT; the host's end must not make an address of its own.
        settings = {_SEND_REDIRECTS: 0, _ROUTE_LOCALNET: int(has_host_ports)}
        messages = [_configure(index, settings), _link_up(index), *_host_end(index, link.ipv4, link.inside_mac)]
        if link.ipv6:
            messages += _host_end(index, link.ipv6, link.inside_mac)
        netlink.request(*messages)
    except OSError:
        delete_link(netlink, link.host_name)
        raise


def configure_inside(link: Link | None) -> None:
    """Bring up `lo` and, if there is a link, the inner end with its addresses and default routes. Raises OSError."""
    netlink = Netlink()
    try:
        messages = [_link_up(socket.if_nametoindex("lo"))]
        if link is not None:
            index = socket.if_nametoindex(INSIDE_NAME)
            messages += [_configure(index, {}), _link_up(index)]
            messages += _inside_end(index, link.ipv4, link.gateway_ipv4, link.host_mac)
            if link.ipv6:
                messages += _inside_end(index, link.ipv6, link.gateway_ipv6, link.host_mac)
        netlink.request(*messages)
    finally:
        netlink.close()


def list_links(prefix: str) -> list[str]:
    """Return the names of this namespace's links that begin with `prefix`."""
    return [name for _, name in socket.if_nameindex() if name.startswith(prefix)]


def delete_link(netlink: Netlink, name: str) -> None:
    """Delete a link; for sweeping only, since it waits for the kernel (a link ends with its namespace)."""
    try:
        netlink.request((_DELETE_LINK, 0, _interface() + _attribute(3, name.encode() + b"\0")))
    except NetlinkError as error:
        if error.errno != 19:  # ENODEV: it went by itself
            raise


def host_addresses(netlink: Netlink) -> list[str]:
    """Return every address of the socket's namespace, IPv4 and IPv6, peers included."""
    found = []
    for body in netlink.dump(_GET_ADDRESS, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        attributes = _attributes(body[8:])
        found += [socket.inet_ntop(body[0], attributes[kind]) for kind in (1, 2) if kind in attributes]
    return sorted(set(found))


def routes(netlink: Netlink) -> list[Route]:
    """Return every route of the socket's namespace, all tables, IPv4 and IPv6."""
    found = []
    for body in netlink.dump(_GET_ROUTE, struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, length, protocol = body[0], body[1], body[5]
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        attributes = _attributes(body[12:])
        nowhere = bytes(4 if family == socket.AF_INET else 16)
        destination = socket.inet_ntop(family, attributes.get(1, nowhere))
        priority = struct.unpack("=I", attributes.get(_ROUTE_PRIORITY, bytes(4)))[0]
        found.append(Route(family, destination, length, protocol, priority, body[7] == _ROUTE_UNICAST))
    return found


def reserve_prefix(netlink: Netlink, prefix: str, length: int, priority: int) -> None:
    """Make a whole prefix unreachable: packets for environments that ended never leave the host, and others see
    that the range is taken. `priority` marks the owner. Raises NetlinkError."""
    netlink.request((_NEW_ROUTE, _CREATE | _REPLACE, _reservation(prefix, length, priority)))


def release_prefix(netlink: Netlink, prefix: str, length: int, priority: int) -> None:
    """Take the reservation back. Raises NetlinkError."""
    netlink.request((_DELETE_ROUTE, 0, _reservation(prefix, length, priority)))


def watch_addresses() -> socket.socket:
    """Return a non-blocking socket that becomes readable when an address or an IPv6 route changes."""
    watcher = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    watcher.bind((0, _GROUP_IPV4_ADDRESS | _GROUP_IPV6_ADDRESS | _GROUP_IPV6_ROUTE))
    watcher.setblocking(False)
    return watcher


def _host_end(index: int, address: str, mac: str) -> list[tuple[int, int, bytes]]:
    family, raw = _family(address)
    route = _route(family, raw, len(raw) * 8, _SCOPE_LINK if family == socket.AF_INET else _SCOPE_UNIVERSE)
    route += _attribute(4, struct.pack("=I", index))
    return [
        (_NEW_NEIGHBOUR, _CREATE | _REPLACE, _neighbour(family, index, raw, mac)),
        (_NEW_ROUTE, _CREATE | _REPLACE, route),
    ]


def _inside_end(index: int, address: str, gateway: str, mac: str) -> list[tuple[int, int, bytes]]:
    family, raw = _family(address)
    _, raw_gateway = _family(gateway)
    own = struct.pack("=BBBBI", family, len(raw) * 8, _IFA_F_NODAD if family == socket.AF_INET6 else 0, 0, index)
    own += _attribute(1, raw) + _attribute(2, raw)
    route = _route(family, b"", 0, _SCOPE_UNIVERSE, flags=_RTNH_F_ONLINK)
    route += _attribute(4, struct.pack("=I", index)) + _attribute(5, raw_gateway)
    return [
        (_NEW_ADDRESS, _CREATE | _REPLACE, own),
        (_NEW_NEIGHBOUR, _CREATE | _REPLACE, _neighbour(family, index, raw_gateway, mac)),
        (_NEW_ROUTE, _CREATE | _REPLACE, route),
    ]


def _route(
    family: int, destination: bytes, length: int, scope: int, *, flags: int = 0, kind: int = _ROUTE_UNICAST
) -> bytes:
    body = struct.pack("=BBBBBBBBI", family, length, 0, 0, _TABLE_MAIN, ROUTE_PROTOCOL, scope, kind, flags)
    return body + (_attribute(1, destination) if destination else b"")


def _reservation(prefix: str, length: int, priority: int) -> bytes:
    family, raw = _family(prefix)
    body = _route(family, raw, length, _SCOPE_UNIVERSE, kind=_ROUTE_UNREACHABLE)
    return body + _attribute(_ROUTE_PRIORITY, struct.pack("=I", priority))


def _neighbour(family: int, index: int, address: bytes, mac: str) -> bytes:
    body = struct.pack("=BBHiHBB", family, 0, 0, index, _NUD_PERMANENT, 0, 0)
    return body + _attribute(1, address) + _attribute(2, _mac(mac))


def _link_up(index: int) -> tuple[int, int, bytes]:
    return _NEW_LINK, 0, _interface(index, _IFF_UP)


def _configure(index: int, ipv4_settings: dict[int, int]) -> tuple[int, int, bytes]:
    """Switch the automatic link-local IPv6 address off and set values of /proc/sys/net/ipv4/conf."""
    families = b""
    if ipv4_settings:
        values = b"".join(_attribute(kind, struct.pack("=I", value)) for kind, value in ipv4_settings.items())
        families += _nest(socket.AF_INET, _nest(1, values))
    if os.path.exists("/proc/net/if_inet6"):
        families += _nest(socket.AF_INET6, _attribute(8, b"\1"))
    return _NEW_LINK, 0, _interface(index) + (_nest(26, families) if families else b"")


def _interface(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, flags)


def _family(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def _nest(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | 0x8000, payload)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[length + (-length % 4) :]
    return found


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    """Split one datagram into (type, sequence, body)."""
    found = []
    while len(data) >= 16:
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
        if length < 16:
            break
        found.append((kind, sequence, data[16:length]))
        data = data[length + (-length % 4) :]
    return found

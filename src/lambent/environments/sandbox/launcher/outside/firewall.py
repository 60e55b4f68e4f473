"""The nftables ruleset between environments and everything else, as text and as one transaction.

What an environment may never reach is refused before routing and before anybody's destination NAT, so that a port
published by a container engine on the host's address is refused as well. Every refusal of TCP is a reset: the kernel
limits the rate of its ICMP errors, and a connect would then hang. Each installation has one table, named after it.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
from dataclasses import dataclass

_SEARCH_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin"
_NFT_SECONDS = 20
_DESTINATIONS_MAX = 1_024
_PORTS_MAX = 1_024
# Connections and exchanges of datagrams of one environment that the kernel remembers at a time: its table is the whole
# host's, and one function that sends to every port there is would fill it for everybody.
_FLOWS_MAX = 4_096

# Never a destination, whatever the egress mode: this host and network, loopback, link-local, multicast, reserved, and
# the metadata addresses of clouds that lie outside 169.254.0.0/16.
_NOWHERE_IPV4 = (
    "0.0.0.0/8",
    "100.100.100.200/32",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "192.0.0.192/32",
    "224.0.0.0/3",
)
# The same for IPv6, with the forms that carry an IPv4 address inside (mapped, compatible, NAT64).
_NOWHERE_IPV6 = (
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "fd00:ec2::/32",
    "fd20:ce::/32",
    "fe80::/9",
    "ff00::/8",
)


class FirewallError(Exception):
    """The rules could not be loaded; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry of an egress list: a prefix and a range of ports (TCP and UDP)."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    first_port: int
    last_port: int


@dataclass(frozen=True, slots=True)
class Egress:
    """Where environments may connect to: everywhere, or to `destinations` only (none of them: nowhere)."""

    is_open: bool
    destinations: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything the ruleset depends on. Prefixes in CIDR form; `notes` are names of empty marker chains."""

    installation_id: str
    link_prefix: str
    pool_ipv4: str
    pool_ipv6: str
    gateway_ipv4: str
    egress: Egress
    host_ports: tuple[int, ...] = ()
    host_addresses: tuple[str, ...] = ()
    has_ipv6_route: bool = False
    notes: tuple[str, ...] = ()


def parse_egress(value: str) -> Egress:
    """Read `open`, `none`, or a comma-separated list of CIDR, CIDR:PORT or CIDR:FIRST-LAST ([CIDR]:PORT for IPv6).

    Raises ValueError with a sentence.
    """
    if value in ("open", "none"):
        return Egress(is_open=value == "open")
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if not entries or len(entries) > _DESTINATIONS_MAX:
        raise ValueError(f"network.egress is open, none, or 1 to {_DESTINATIONS_MAX} entries CIDR:PORT")
    return Egress(is_open=False, destinations=tuple(_parse_destination(entry) for entry in entries))


def check_host_ports(ports: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ports sorted, each once. Raises ValueError with a sentence."""
    if len(ports) > _PORTS_MAX or not all(0 < port < 65_536 for port in ports):
        raise ValueError(f"network.host_ports holds at most {_PORTS_MAX} numbers from 1 to 65535")
    return tuple(sorted(set(ports)))


def table_name(installation_id: str) -> str:
    """Return the name of an installation's table."""
    return "lambent_" + re.sub(r"[^A-Za-z0-9]", "_", installation_id)[:64]


def ruleset(rules: Rules) -> str:
    """Return the whole table as one transaction that replaces an older one of the same name."""
    table = table_name(rules.installation_id)
    links = f'"{rules.link_prefix}*"'
    notes = "".join(f"  chain {note} {{\n  }}\n" for note in rules.notes)
    return f"""table inet {table}
delete table inet {table}
table inet {table} {{
{_sets(rules)}{notes}  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmpx port-unreachable
  }}
  chain before_routing {{
    type filter hook prerouting priority mangle;
    iifname != {links} return
    fib saddr . iif oif missing drop
    ct state established accept
{_host_port_rules(rules)}    fib daddr type != unicast goto refuse
    ip daddr @nowhere_ipv4 goto refuse
    ip6 daddr @nowhere_ipv6 goto refuse
    ct state new add @flows_ipv4 {{ ip saddr ct count over {_FLOWS_MAX} }} goto refuse
    ct state new add @flows_ipv6 {{ ip6 saddr ct count over {_FLOWS_MAX} }} goto refuse
{_egress_rules(rules)}  }}
  chain host_ports {{
    type nat hook prerouting priority dstnat;
{_destination_nat(rules, links)}  }}
  chain into_host {{
    type filter hook input priority filter;
    iifname != {links} return
    ct status dnat ip daddr 127.0.0.1 accept
    goto refuse
  }}
  chain through_host {{
    type filter hook forward priority filter;
    iifname {links} oifname "lv*" goto refuse
    iifname {links} tcp flags syn tcp option maxseg size set rt mtu
    iifname {links} accept
    oifname {links} ct state established,related accept
    oifname {links} goto refuse
  }}
  chain after_routing {{
    type nat hook postrouting priority srcnat;
    ip saddr {rules.pool_ipv4} oifname != "lv*" masquerade
    ip6 saddr {rules.pool_ipv6} oifname != "lv*" masquerade
  }}
}}
"""


def load(text: str) -> None:
    """Load a ruleset in one transaction. Raises FirewallError."""
    _nft("-f", "-", text=text)


def remove(installation_id: str, heir: str | None = None, bequest: tuple[str, ...] = ()) -> None:
    """Remove an installation's table, if there is one, and give marker chains to the table `heir`.

    Raises FirewallError.
    """
    table = table_name(installation_id)
    given = "".join(f"add chain inet {heir} {note}\n" for note in bequest) if heir is not None else ""
    load(f"table inet {table}\ndelete table inet {table}\n{given}")


def other_table(installation_id: str) -> str | None:
    """Return the table of another installation in this network namespace. Raises FirewallError."""
    tables = re.findall(r"table inet (lambent_\w+)", _nft("list", "tables"))
    return next((table for table in tables if table != table_name(installation_id)), None)


def notes(installation_id: str) -> tuple[str, ...]:
    """Return the marker chains of the installation's table: what an earlier run left to be remembered."""
    try:
        text = _nft("list", "table", "inet", table_name(installation_id))
    except FirewallError:
        return ()
    return tuple(re.findall(r"chain (note_\w+) \{", text))


def forward_blockers(installation_id: str) -> list[str]:
    """Return the chains of others that drop forwarded packets by policy: an accept of ours does not overrule them."""
    blockers: list[str] = []
    table = chain = ""
    for line in _nft("list", "chains").splitlines():
        words = line.split()
        if line.startswith("table"):
            table = " ".join(words[1:3])
        elif words[:1] == ["chain"]:
            chain = words[1]
        elif "hook forward" in line and "policy drop" in line and table_name(installation_id) not in table:
            blockers.append(f"{table} {chain}")
    return blockers


def _parse_destination(entry: str) -> Destination:
    if entry.startswith("["):
        match = re.fullmatch(r"\[([0-9A-Fa-f:./]+)\](?::(\d+)(?:-(\d+))?)?", entry)
    elif entry.count(":") > 1:
        match = re.fullmatch(r"([0-9A-Fa-f:./]+)()()", entry)
    else:
        match = re.fullmatch(r"([\d./]+)(?::(\d+)(?:-(\d+))?)?", entry)
    if match is None:
        raise ValueError(f"network.egress: {entry!r} is not CIDR, CIDR:PORT or CIDR:FIRST-LAST")
    try:
        network = ipaddress.ip_network(match[1], strict=False)
    except ValueError as error:
        raise ValueError(f"network.egress: {entry!r} does not begin with an address or prefix") from error
    first_port = int(match[2]) if match[2] else 1
    last_port = int(match[3]) if match[3] else (first_port if match[2] else 65_535)
    if not 0 < first_port <= last_port < 65_536:
        raise ValueError(f"network.egress: the ports of {entry!r} are not between 1 and 65535")
    return Destination(network, first_port, last_port)


def _sets(rules: Rules) -> str:
    own = [ipaddress.ip_address(address) for address in rules.host_addresses]
    ipv4 = [*_NOWHERE_IPV4, rules.pool_ipv4, *(str(address) for address in own if address.version == 4)]
    ipv6 = [*_NOWHERE_IPV6, rules.pool_ipv6, *(str(address) for address in own if address.version == 6)]
    flows = "".join(
        f"  set flows_{name} {{\n    type {name}_addr; flags dynamic; size 65535;\n  }}\n" for name in ("ipv4", "ipv6")
    )
    return _set("nowhere_ipv4", "ipv4_addr", ipv4) + _set("nowhere_ipv6", "ipv6_addr", ipv6) + flows


def _set(name: str, kind: str, elements: list[str]) -> str:
    # Merged here: nft's own auto-merge is slow in versions in use, and refuses some overlaps.
    parsed = [ipaddress.ip_network(element) for element in elements]
    networks = [item for item in parsed if isinstance(item, ipaddress.IPv4Network)]
    networks6 = [item for item in parsed if isinstance(item, ipaddress.IPv6Network)]
    merged = [*ipaddress.collapse_addresses(networks), *ipaddress.collapse_addresses(networks6)]
    listed = ", ".join(str(network) for network in merged)
    return f"  set {name} {{\n    type {kind}; flags interval;\n    elements = {{ {listed} }}\n  }}\n"


def _host_port_rules(rules: Rules) -> str:
    if not rules.host_ports:
        return ""
    return f"    ip daddr {rules.gateway_ipv4} tcp dport {_ports(rules)} accept\n"


def _destination_nat(rules: Rules, links: str) -> str:
    if not rules.host_ports:
        return ""
    return f"    iifname {links} ip daddr {rules.gateway_ipv4} tcp dport {_ports(rules)} dnat ip to 127.0.0.1\n"


def _ports(rules: Rules) -> str:
    return "{ " + ", ".join(str(port) for port in rules.host_ports) + " }"


def _egress_rules(rules: Rules) -> str:
    lines = [] if rules.has_ipv6_route else ["meta nfproto ipv6 goto refuse"]
    if not rules.egress.is_open:
        for item in rules.egress.destinations:
            family = "ip" if item.network.version == 4 else "ip6"
            ports = f"{item.first_port}-{item.last_port}"
            lines.append(f"{family} daddr {item.network} meta l4proto {{ tcp, udp }} th dport {ports} accept")
        lines.append("goto refuse")
    return "".join(f"    {line}\n" for line in lines)


def _nft(*arguments: str, text: str = "") -> str:
    program = shutil.which("nft", path=_SEARCH_PATH)
    if program is None:
        raise FirewallError("nft is not installed (Debian and Ubuntu: apt install nftables)")
    try:
        done = subprocess.run(
            (program, *arguments), input=text, capture_output=True, text=True, check=False, timeout=_NFT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirewallError(f"nft did not run: {error}") from error
    if done.returncode != 0:
        raise FirewallError(f"nft refused the rules: {(done.stderr.splitlines() or ['no reason given'])[0]}")
    return done.stdout

"""The ruleset as text; what it does to packets is tested in tests/sandbox/network."""

from __future__ import annotations

import ipaddress

import pytest

from lambent.environments.sandbox.launcher.outside.firewall import (
    Destination,
    Egress,
    Rules,
    check_host_ports,
    parse_egress,
    ruleset,
    table_name,
)

RULES = Rules(
    installation_id="ab12",
    link_prefix="lv00112233",
    pool_ipv4="198.18.16.0/20",
    pool_ipv6="fd12:3456:789a:bcde::/64",
    gateway_ipv4="198.18.16.1",
    egress=Egress(is_open=True),
    has_ipv6_route=True,
)


@pytest.mark.parametrize(
    ("entry", "network", "first_port", "last_port"),
    [
        ("10.0.0.0/8:443", "10.0.0.0/8", 443, 443),
        ("10.1.2.3", "10.1.2.3/32", 1, 65_535),
        ("10.1.2.3/8:8000-8100", "10.0.0.0/8", 8_000, 8_100),
        ("[2001:db8::/32]:443", "2001:db8::/32", 443, 443),
        ("2001:db8::/32", "2001:db8::/32", 1, 65_535),
    ],
)
def test_egress_entries(entry: str, network: str, first_port: int, last_port: int) -> None:
    assert parse_egress(entry) == Egress(
        is_open=False, destinations=(Destination(ipaddress.ip_network(network), first_port, last_port),)
    )


def test_egress_modes() -> None:
    assert parse_egress("open") == Egress(is_open=True)
    assert parse_egress("none") == Egress(is_open=False)
    assert len(parse_egress("10.0.0.1:1, 10.0.0.2:2").destinations) == 2


@pytest.mark.parametrize(
    "value",
    ["", ",", "closed", "10.0.0.0/33:1", "10.0.0.1:0", "10.0.0.1:70000", "10.0.0.1:9-8", "[::1:80", "example.com:80",
     "10.0.0.1:80 accept", "10.0.0.1:80; drop", ",".join(["10.0.0.1:1"] * 1_025)],
)  # fmt: skip
def test_a_wrong_egress_is_refused_with_a_sentence(value: str) -> None:
    with pytest.raises(ValueError, match=r"network\.egress"):
        parse_egress(value)


def test_host_ports() -> None:
    assert check_host_ports((5_432, 80, 80)) == (80, 5_432)
    for wrong in ((0,), (65_536,), tuple(range(1, 1_026))):
        with pytest.raises(ValueError, match=r"network\.host_ports"):
            check_host_ports(wrong)


def test_the_table_carries_the_installation_and_nothing_else() -> None:
    assert table_name("ab12") == "lambent_ab12"
    assert table_name('a"; flush ruleset') == "lambent_a___flush_ruleset"


def test_open_egress_accepts_all_that_is_not_refused() -> None:
    text = ruleset(RULES)
    assert text.startswith("table inet lambent_ab12\ndelete table inet lambent_ab12\n")
    assert "meta nfproto ipv6 goto refuse" not in text
    assert "198.18.16.0/20" in text.split("nowhere_ipv4")[1]
    assert "dnat" not in text.replace("ct status dnat", "")


def test_a_list_ends_in_a_refusal() -> None:
    rules = Rules(**{**_fields(RULES), "egress": parse_egress("10.0.0.0/8:443")})  # type: ignore[arg-type]
    lines = [line.strip() for line in ruleset(rules).splitlines()]
    accept = lines.index("ip daddr 10.0.0.0/8 meta l4proto { tcp, udp } th dport 443-443 accept")
    assert lines[accept + 1] == "goto refuse"


def test_without_an_ipv6_route_ipv6_is_refused() -> None:
    rules = Rules(**{**_fields(RULES), "has_ipv6_route": False})  # type: ignore[arg-type]
    assert "meta nfproto ipv6 goto refuse" in ruleset(rules)


def test_addresses_of_a_host_outside_are_refused_and_overlaps_merged() -> None:
    addresses = ("127.0.0.1", "192.0.2.7", "2001:db8::7", "198.18.16.9")
    rules = Rules(**{**_fields(RULES), "host_addresses": addresses})  # type: ignore[arg-type]
    text = ruleset(rules)
    assert "192.0.2.7/32" in text
    assert "2001:db8::7/128" in text
    assert "127.0.0.1/32" not in text
    assert "198.18.16.9" not in text


def test_host_ports_are_translated_to_loopback_only() -> None:
    rules = Rules(**{**_fields(RULES), "host_ports": (80, 5_432)})  # type: ignore[arg-type]
    assert "ip daddr 198.18.16.1 tcp dport { 80, 5432 } dnat ip to 127.0.0.1" in ruleset(rules)


def _fields(rules: Rules) -> dict[str, object]:
    return {name: getattr(rules, name) for name in Rules.__dataclass_fields__}

"""Where functions answer for custom resources."""

from __future__ import annotations

from lambent.neighbours.addresses import base_url, responses_at


def test_addresses() -> None:
    assert base_url(None) == "http://127.0.0.1:4566"
    assert base_url(("0.0.0.0", 80)) == "http://127.0.0.1:80"
    assert responses_at(("127.0.0.1", 81), is_sandboxed=False, is_led=True) == "http://127.0.0.1:81"
    assert responses_at(("127.0.0.1", 81), is_sandboxed=True, is_led=False) == "http://127.0.0.1:4566"
    led = responses_at(("127.0.0.1", 81), is_sandboxed=True, is_led=True)
    assert led.format(region="euwest1") == "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com"

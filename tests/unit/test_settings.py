"""Settings: one name in three places, and every mistake is a sentence."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from lambent.settings import SettingError, Settings, read_client_environment, read_settings, table

if TYPE_CHECKING:
    from pathlib import Path


def _read(
    flags: dict[str, str] | None = None, *, environment: dict[str, str] | None = None, config: Path | None = None
) -> Settings:
    around = {"HOME": "/home/someone", **(environment or {})}
    return read_settings(flags or {}, environment=around, config=str(config) if config else None)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lambent.toml"
    path.write_text(text)
    return path


def test_defaults() -> None:
    settings = _read()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 4566)
    assert (settings.auth.mode, settings.account.default_id) == ("accept", "000000000000")
    assert dataclasses.replace(settings, machine=Settings().machine, data_dir="") == Settings()


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    config = _file(tmp_path, '[server]\nport = 1\nhost = "10.0.0.1"\n[pool]\npython = 9\n')
    environment = {"LAMBENT_SERVER_PORT": "2", "LAMBENT_SERVER_HOST": "10.0.0.2"}
    settings = _read({"server.port": "3"}, environment=environment, config=config)
    assert (settings.server.port, settings.server.host, settings.pool.python) == (3, "10.0.0.2", 9)


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    config = _file(tmp_path, "[server]\nport = 7\n")
    assert _read(environment={"LAMBENT_CONFIG": str(config)}).server.port == 7


def test_every_setting_is_set_by_each_of_its_names(tmp_path: Path) -> None:
    for row in table():
        text = _another(row.name, row.default)
        by_flag = _read({row.name: text})
        by_variable = _read(environment={row.variable: text})
        section, _, name = row.name.rpartition(".")
        by_file = _read(
            config=_file(tmp_path, (f"[{section}]\n" if section else "") + f"{name} = {_toml(row.default, text)}\n")
        )
        value = _value(by_flag, row.name)
        assert value == _value(by_variable, row.name) == _value(by_file, row.name)
        assert value != row.default, row.name


_OTHERS = {
    "event_sources.brokers": "arn:aws:kafka:us-east-1:000000000000:cluster/c/1=one:9092;two:9092",
    "store.url": "postgresql://user:secret@db.example/lambent",
    "cluster.slice": "0.25",
    "async.retry_base_seconds": "0.5",
    "async.enqueue_seconds_max": "2.5",
    "function_urls.base_url": "https://urls.example",
    "server.tls_cert": "",
    "auth.mode": "verify",
    "account.default_id": "123456789012",
    "account.region": "eu-west-1",
    "server.log_level": "debug",
    "isolation.level": "L1",
    "isolation.min": "L2",
    "network.amazonaws": "pass",
    "alexa.certificates_at": "http://127.0.0.1:1",
    "network.egress": "10.0.0.0/8:443,[2001:db8::/32]:80-90,192.168.0.0/16",
    "architectures.foreign": "refuse",
    "data_dir": "/somewhere",
    "network.host_ports": "80,443",
    "api.hosts": "a,b",
    "api.origins": "https://a.example",
    "sandbox.uid_base": "3000000",
    "sandbox.daemon_uid": "65000",
}


def _another(name: str, default: object) -> str:
    if name in _OTHERS:
        return _OTHERS[name]
    if isinstance(default, bool):
        return "false" if default else "true"
    if isinstance(default, int):
        return str(default + 1) if default < 1000 else str(default * 2)
    return "other"


def _toml(default: object, text: str) -> str:
    if isinstance(default, tuple):
        items = text.split(",")
        return "[" + ", ".join(item if item.isdigit() else f'"{item}"' for item in items) + "]"
    return f'"{text}"' if isinstance(default, str) else text


def _value(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        # A word of Python's is no name of a field.
        value = getattr(value, f"{part}_" if part == "async" else part)
    return value


@pytest.fixture(autouse=True)
def _tls_pair_is_not_the_subject(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    # Half a pair of certificate and key is refused; the table's test sets one name at a time.
    if request.node.name == "test_every_setting_is_set_by_each_of_its_names":
        monkeypatch.setattr("lambent.settings._check_tls", lambda settings: None)
        monkeypatch.setitem(_OTHERS, "server.tls_cert", "/cert")


@pytest.mark.parametrize(
    ("flags", "environment", "sentence"),
    [
        ({"server.prot": "1"}, {}, "There is no setting server.prot; did you mean server.port?"),
        ({"zzz": "1"}, {}, "There is no setting zzz; docs/settings.md lists them all."),
        (
            {},
            {"LAMBENT_AUTH_MOD": "verify"},
            "No setting belongs to the environment variable LAMBENT_AUTH_MOD; did you mean LAMBENT_AUTH_MODE?",
        ),
        (
            {"server.port": "http"},
            {},
            "Setting server.port (from --set server.port) must be a whole number from 0 (any free port) to 65535, "
            "not 'http'.",
        ),
        (
            {},
            {"LAMBENT_AUTH_CLOCK_SKEW_SECONDS": "0"},
            "Setting auth.clock_skew_seconds (from LAMBENT_AUTH_CLOCK_SKEW_SECONDS) must be a whole number from 1 to "
            "86,400, not 0.",
        ),
        ({"auth.mode": "x"}, {}, "Setting auth.mode (from --set auth.mode) must be one of accept, verify, not 'x'."),
        (
            {"runtimes.sdk": "maybe"},
            {},
            "Setting runtimes.sdk (from --set runtimes.sdk) must be true or false, not 'maybe'.",
        ),
        (
            {"account.default_id": "123"},
            {},
            "Setting account.default_id (from --set account.default_id) must be 12 digits, not '123'.",
        ),
        (
            {"network.host_ports": "80,70000"},
            {},
            "Setting network.host_ports (from --set network.host_ports) must be a list of numbers from 1 to 65,535, "
            "not [80, 70000].",
        ),
        (
            {"neighbours.s3.endpoint": "minio"},
            {},
            "Setting neighbours.s3.endpoint (from --set neighbours.s3.endpoint) must be an http or https URL, "
            "not 'minio'.",
        ),
        (
            {"store.url": "mysql://user:secret@db.example"},
            {},
            "Setting store.url (from --set store.url) must be a postgresql URL.",
        ),
        (
            {"cluster.slice": "2"},
            {},
            "Setting cluster.slice (from --set cluster.slice) must be a number from 0.001 to 1, not 2.0.",
        ),
        (
            {"cluster.slice": "half"},
            {},
            "Setting cluster.slice (from --set cluster.slice) must be a number from 0.001 to 1, not 'half'.",
        ),
        (
            {"server.tls_cert": "/cert"},
            {},
            "server.tls_cert and server.tls_key belong together: one is set and the other is not.",
        ),
    ],
)
def test_a_mistake_is_a_sentence(flags: dict[str, str], environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError) as caught:
        _read(flags, environment=environment)
    assert str(caught.value) == sentence


def test_a_secret_is_not_shown() -> None:
    settings = _read({"store.url": "postgresql://user:planted@db.example/lambent"})
    assert settings.store.url.endswith("db.example/lambent")
    assert "planted" not in repr(settings)


def test_a_share_may_be_a_whole_number_in_the_file(tmp_path: Path) -> None:
    assert _read(config=_file(tmp_path, "[cluster]\nslice = 1\n")).cluster.slice == 1.0


def test_a_neighbour_is_set_by_each_of_its_names(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9000/base"
    file = tmp_path / "lambent.toml"
    file.write_text(f'[neighbours]\nenabled = false\n[neighbours.cognito-idp]\nendpoint = "{url}"\nregion = "r"\n')
    for settings in (
        _read({"neighbours.cognito-idp.endpoint": url}),
        _read({}, environment={"LAMBENT_NEIGHBOURS_COGNITO_IDP_ENDPOINT": url}),
        _read({}, config=file),
    ):
        assert settings.neighbours.services["cognito-idp"].endpoint == url
    assert _read({}, config=file).neighbours.services["cognito-idp"].region == "r"
    assert not _read({}, config=file).neighbours.enabled
    both = _read({"neighbours.s3.secret_access_key": "s"}, environment={"LAMBENT_NEIGHBOURS_S3_ACCESS_KEY_ID": "k"})
    assert (both.neighbours.services["s3"].access_key_id, both.neighbours.services["s3"].secret_access_key) == (
        "k",
        "s",
    )


@pytest.mark.parametrize("name", ["neighbours.s3.endpont", "neighbours.SERVICE.endpoint", "neighbours.s3.x.endpoint"])
def test_a_neighbour_has_only_these_settings(name: str) -> None:
    with pytest.raises(SettingError, match="There is no setting"):
        _read({name: "http://127.0.0.1"})


@pytest.mark.parametrize("text", ["openn", "10.0.0.0/99:1", "10.0.0.0/8:http", "", "1.2.3.4:1:2"])
def test_wrong_egress_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"network\.egress"):
        _read({"network.egress": text})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nport = '4566'", "must be a whole number"),
        ("[server]\nport = true", "must be a whole number"),
        ("[runtimes]\nsdk = 1", "must be true or false"),
        ("[server]\nprot = 1", "There is no setting server.prot; did you mean server.port?"),
        ("server = 1", "There is no setting server"),
        ("[network]\nhost_ports = ['80']", "must be a list of numbers"),
        ("not toml", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_names_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingError) as caught:
        _read(config=_file(tmp_path, text))
    assert sentence in str(caught.value)
    assert "lambent.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot be read: No such file or directory"):
        _read(config=tmp_path / "none.toml")


def test_the_data_directory_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert _read({"data_dir": "data"}).data_dir == str(tmp_path / "data")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert _read().data_dir == "/home/someone/.local/share/lambent"
    assert _read(environment={"XDG_DATA_HOME": "/data"}).data_dir == "/data/lambent"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert _read().data_dir == "/var/lib/lambent"


def test_what_other_rooms_need_of_the_environment() -> None:
    machine = _read(environment={"PATH": "/bin", "TZ": "UTC", "NVM_DIR": "/nvm"}).machine
    assert (machine.home, machine.path, machine.time_zone) == ("/home/someone", "/bin", "UTC")
    assert machine.tool_roots == {"NVM_DIR": "/nvm"}


def test_the_client_s_environment() -> None:
    plain = read_client_environment({})
    assert (plain.endpoint_url, plain.region, plain.access_key_id) == ("http://127.0.0.1:4566", "us-east-1", "test")
    variables = {"AWS_ENDPOINT_URL": "https://x/", "AWS_ENDPOINT_URL_LAMBDA": "http://y:1/", "AWS_SESSION_TOKEN": "t"}
    named = read_client_environment(variables)
    assert (named.endpoint_url, named.session_token) == ("http://y:1", "t")
    assert "secret" not in repr(named)

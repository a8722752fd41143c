"""What an operator can set, and what is refused."""

from pathlib import Path

import pytest

from activities.settings import Role, Settings, SettingsError, read_settings
from activities.settings_signing import SignsWith
from tests.keyring import write_keys
from tests.permit_keys import JWK, JWKS

URL = "postgresql://countersign_app@localhost/countersign"
WORKER = {
    "COUNTERSIGN_DATABASE_URL": URL,
    "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1",
    "COUNTERSIGN_PERMIT_KEY": JWK,
    "COUNTERSIGN_ANCHOR_FILE": "anchor.json",
}


def test_nothing_set_is_nothing_set() -> None:
    """An empty environment gives the defaults, and foreign variables do not matter."""
    assert read_settings({"PATH": "/bin", "HOME": "/"}) == Settings()


def test_everything_is_read(tmp_path: Path) -> None:
    """Each variable ends up in its field."""
    targets = tmp_path / "targets.json"
    targets.write_text('{"postgres/orders": "postgresql://operator@localhost/orders"}')
    environ = {
        "COUNTERSIGN_DATABASE_URL": URL,
        "COUNTERSIGN_ADMIN_DATABASE_URL": "postgresql://countersign_owner@/countersign?host=/run/postgres",
        "COUNTERSIGN_TARGETS_FILE": str(targets),
        "COUNTERSIGN_ARCHIVE_DIR": str(tmp_path),
        "COUNTERSIGN_METRICS_ADDRESS": "127.0.0.1:9464",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "Yes",
        "COUNTERSIGN_ROLE": "executor",
        "COUNTERSIGN_IDENTITY": "ana",
        "COUNTERSIGN_SIGNING_KEY_FILE": "ana.jwk",
        "COUNTERSIGN_SIGNING_KEY_ID": "ana-1",
        "COUNTERSIGN_SSH_KEY_FILE": "/home/ana/.ssh/id_ed25519",
        "COUNTERSIGN_OIDC_ISSUER": "https://login.example",
        "COUNTERSIGN_OIDC_CLIENT_ID": "countersign-cli",
        "COUNTERSIGN_PROMETHEUS_URL": "http://127.0.0.1:9090/metrics",
        "COUNTERSIGN_SLO_QUERY": 'budget_left{slo="$name"}',
        "COUNTERSIGN_ANCHOR_FILE": str(tmp_path / "anchor.json"),
        "TEMPORAL_ADDRESS": "temporal.example:7233",
    }

    assert read_settings(environ) == Settings(
        database_url=URL,
        admin_database_url=environ["COUNTERSIGN_ADMIN_DATABASE_URL"],
        targets={"postgres/orders": "postgresql://operator@localhost/orders"},
        archive_dir=tmp_path,
        metrics_address="127.0.0.1:9464",
        otlp_endpoint="http://127.0.0.1:4318",
        unsafe_claimed_identities=True,
        role=Role.executor,
        identity="ana",
        signs_with=SignsWith(
            Path("ana.jwk"), "ana-1", Path("/home/ana/.ssh/id_ed25519"), "https://login.example", "countersign-cli"
        ),
        prometheus_url="http://127.0.0.1:9090/metrics",
        slo_query='budget_left{slo="$name"}',
        anchor_file=tmp_path / "anchor.json",
        temporal_chosen=True,
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("COUNTERSIGN_DATABSE_URL", URL, r"did you mean COUNTERSIGN_DATABASE_URL\?"),
        ("COUNTERSIGN_DATABASE_URL", "mysql://app@localhost/x", "has scheme `mysql`: write postgresql://"),
        ("COUNTERSIGN_DATABASE_URL", "postgresql://localhost/x", "names no role"),
        ("COUNTERSIGN_DATABASE_URL", "postgresql://app@db.example/x", "leaves TLS open: add \\?sslmode=verify-full"),
        ("COUNTERSIGN_DATABASE_URL", "postgresql://app@localhost,db.example/x", "goes to db.example"),
        ("COUNTERSIGN_DATABASE_URL", "postgresql://app@localhost/x?host=db.example", "goes to db.example"),
        ("COUNTERSIGN_DATABASE_URL", "postgresql://app@db.example/x?sslmode=prefer", "leaves TLS open"),
        ("COUNTERSIGN_ADMIN_DATABASE_URL", "postgresql://o@db.example/x", "COUNTERSIGN_ADMIN_DATABASE_URL goes to"),
        ("COUNTERSIGN_TARGETS_FILE", "/nowhere/targets.json", "cannot be read: No such file"),
        ("COUNTERSIGN_ARCHIVE_DIR", __file__, "is a file: name a folder"),
        ("COUNTERSIGN_METRICS_ADDRESS", "9464", "is not host:port: write 127.0.0.1:9464"),
        ("COUNTERSIGN_METRICS_ADDRESS", "localhost:99999", "is not host:port"),
        ("COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES", "maybe", "= maybe is neither yes nor no: write 1 or 0"),
        ("COUNTERSIGN_SIGNING_KEY_ID", "ana-1", "COUNTERSIGN_SIGNING_KEY_FILE is not: it says more about what is not"),
        ("COUNTERSIGN_ROLE", "boss", "= boss is no role: write one of control, permit, executor, all"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "is no http address"),
        ("TEMPORAL_CONFIG_FILE", "/nowhere/temporal.toml", "is no file: correct the path or unset it"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, value: str, message: str) -> None:
    """The error names the variable and the fix."""
    with pytest.raises(SettingsError, match=message) as refused:
        read_settings({name: value})

    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("url", "query", "message"),
    [
        ("http://127.0.0.1:9090", "", "COUNTERSIGN_SLO_QUERY is not set: SLO states need both"),
        ("", "left{slo='$name'}", "COUNTERSIGN_PROMETHEUS_URL is not set"),
        ("127.0.0.1:9090", "$name", "is no plain http address"),
        ("http://ana:hunter2@127.0.0.1:9090", "$name", "is no plain http address"),
        ("http://127.0.0.1:port", "$name", "is no plain http address"),
        ("http://a\r\nb", "$name", "is no plain http address"),
        ("http://127.0.0.1:9090", "left{slo=~'.*$'}", "has another \\$ than"),
        ("http://127.0.0.1:9090", "left{slo='$slo'}", "has another \\$ than \\$name, \\$objective, \\$target"),
        ("http://127.0.0.1:9090", "left{}", "asks for no objective: name it as \\$name"),
    ],
)
def test_where_slo_states_come_from_is_said_whole(url: str, query: str, message: str) -> None:
    """A server without a query, a query that asks for nothing, and an address that is none are refused."""
    with pytest.raises(SettingsError, match=message) as refused:
        read_settings({"COUNTERSIGN_PROMETHEUS_URL": url, "COUNTERSIGN_SLO_QUERY": query})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example/x?sslmode=verify-full",
        "postgresql://app@db.example/x?sslmode=disable",
        "postgresql://app@[::1]:5432/x",
        "postgresql://app@/x?host=/run/postgres&port=5432",
        "postgres://app:secret@127.0.0.1:5432/x",
    ],
)
def test_an_address_that_says_what_it_means_is_taken(url: str) -> None:
    """Sockets and loopback need no word about TLS; others must say one, also that there is none."""
    assert read_settings({"COUNTERSIGN_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize("text", ["[]", "{}", '{"a": 1}', '{"a": "x", "a": "y"}', "nonsense"])
def test_a_targets_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """Only a JSON object of id to address, without duplicate keys, is a targets file."""
    file = tmp_path / "targets.json"
    file.write_text(text)

    with pytest.raises(SettingsError, match="COUNTERSIGN_TARGETS_FILE"):
        read_settings({"COUNTERSIGN_TARGETS_FILE": str(file)})


def test_no_secret_is_shown() -> None:
    """Passwords in addresses are part of no repr and of no error."""
    url = "postgresql://countersign_owner:hunter2@localhost/countersign"
    settings = read_settings({**WORKER, "COUNTERSIGN_DATABASE_URL": url})

    with pytest.raises(SettingsError) as refused:
        settings.check_worker()
    assert "hunter2" not in repr(settings) + str(refused.value)


def test_a_role_of_the_command_line_must_agree_with_the_variable() -> None:
    """Two different answers to one question are refused."""
    assert read_settings({"COUNTERSIGN_ROLE": "permit"}, role="permit").role is Role.permit
    with pytest.raises(SettingsError, match="contradicts --role control"):
        read_settings({"COUNTERSIGN_ROLE": "permit"}, role="control")


def test_a_worker_that_is_well_set_may_start() -> None:
    """The check gives the address of the record, whether or not names that nobody proves count."""
    assert read_settings(WORKER).check_worker() == URL
    proved = read_settings({**WORKER, "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": ""})
    assert (proved.check_worker(), proved.unsafe_claimed_identities) == (URL, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"COUNTERSIGN_DATABASE_URL": ""}, "COUNTERSIGN_DATABASE_URL is not set"),
        ({"COUNTERSIGN_DATABASE_URL": "postgresql://postgres@/x"}, "as postgres, which can change the record"),
        ({"COUNTERSIGN_DATABASE_URL": "postgresql://countersign_owner@/x"}, "connect as countersign_app"),
        ({"COUNTERSIGN_DATABASE_URL": "postgresql://countersign_reader@/x"}, "role all wants countersign_app"),
        ({"COUNTERSIGN_ROLE": "permit"}, "as countersign_app, role permit wants countersign_permit"),
        ({"COUNTERSIGN_ADMIN_DATABASE_URL": URL}, "must not be able to change the record, unset it"),
        ({"COUNTERSIGN_ANCHOR_FILE": ""}, "ANCHOR_FILE is not set: only roles permit and all issue, name a file"),
        (
            {
                "COUNTERSIGN_ROLE": "control",
                "COUNTERSIGN_DATABASE_URL": "postgresql://countersign_control@/x",
                "COUNTERSIGN_PERMIT_KEY": "",
            },
            "ANCHOR_FILE is set: only roles permit and all issue, unset it here",
        ),
    ],
)
def test_a_worker_that_would_make_the_protection_void_does_not_start(changes: dict[str, str], message: str) -> None:
    """What weakens the protection is refused at the start, with the variable's name."""
    with pytest.raises(SettingsError, match=message):
        read_settings({**WORKER, **changes}).check_worker()


def test_only_the_executor_reaches_targets(tmp_path: Path) -> None:
    """Who decides or issues must not have targets' addresses, and who executes must."""
    targets = tmp_path / "targets.json"
    targets.write_text('{"postgres/orders": "postgresql://operator@localhost/orders"}')

    keys = tmp_path / "keys.json"
    keys.write_text(JWKS)

    def worker(role: str, **more: str) -> Settings:
        url = f"postgresql://countersign_{role}@localhost/countersign"
        signs = {"COUNTERSIGN_PERMIT_KEY": JWK if role == "permit" else ""}
        verifies = {"COUNTERSIGN_PERMIT_KEYS_FILE": str(keys) if role == "executor" else ""}
        own = {"COUNTERSIGN_ANCHOR_FILE": "anchor.json" if role == "permit" else ""}
        given = {**WORKER, **own, **signs, **verifies, **more}
        return read_settings({**given, "COUNTERSIGN_ROLE": role, "COUNTERSIGN_DATABASE_URL": url})

    for role in ("control", "permit"):
        assert worker(role).check_worker()
        with pytest.raises(SettingsError, match=f"role {role} must not reach targets"):
            worker(role, COUNTERSIGN_TARGETS_FILE=str(targets)).check_worker()
    assert worker("executor", COUNTERSIGN_TARGETS_FILE=str(targets)).check_worker()
    with pytest.raises(SettingsError, match="role executor needs a json file"):
        worker("executor").check_worker()
    trails = tmp_path / "trails.json"
    trails.write_text('{"postgres/orders": {"kind": "postgres", "path": "/var/log/postgresql"}}')
    assert worker("control", COUNTERSIGN_TRAILS_FILE=str(trails)).trails["postgres/orders"].kind == "postgres"
    for role, its in (("permit", {}), ("executor", {"COUNTERSIGN_TARGETS_FILE": str(targets)})):
        with pytest.raises(SettingsError, match=f"role {role} looks at no trail"):
            worker(role, COUNTERSIGN_TRAILS_FILE=str(trails), **its).check_worker()


CHANNELS = '{"channels": {"chat": {"kind": "apprise", "url": "json://localhost/{address}"}}}'


def test_channels_are_read_and_kept_from_who_tells_nobody(tmp_path: Path) -> None:
    """The control role and the one process have channels; permit and executor do not start with their secrets."""
    file = tmp_path / "channels.json"
    file.write_text(CHANNELS)
    given = {"COUNTERSIGN_CHANNELS_FILE": str(file), "COUNTERSIGN_UNSAFE_CLAIMED_IDENTITIES": "1"}
    found = read_settings(given, role="control")

    assert found.channels is not None
    assert list(found.channels.channels) == ["chat"]
    permit = read_settings({**given, "COUNTERSIGN_DATABASE_URL": "postgresql://countersign_permit@/x"}, role="permit")
    with pytest.raises(SettingsError, match="COUNTERSIGN_CHANNELS_FILE is set: role permit tells nobody anything"):
        permit.check_worker()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "channels.json: "),
        ("{}", "channels: Field required"),
    ],
)
def test_a_channels_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    """The error names the variable, the file and what is wrong with it."""
    file = tmp_path / "channels.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SettingsError, match=message):
        read_settings({"COUNTERSIGN_CHANNELS_FILE": str(file)})


def test_the_key_file_is_read_and_a_bad_one_names_the_variable(tmp_path: Path) -> None:
    """One setting turns encryption on; a file that others may read is refused, and no repr shows a key."""
    path = write_keys(tmp_path / "keys.json", "k1")
    found = read_settings({"COUNTERSIGN_CODEC_KEYS_FILE": str(path)})
    assert found.codec_keys is not None
    assert found.codec_keys.active == "k1"
    assert "k1" not in repr(found)
    assert read_settings({}).codec_keys is None
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=r"COUNTERSIGN_CODEC_KEYS_FILE: .* chmod 600"):
        read_settings({"COUNTERSIGN_CODEC_KEYS_FILE": str(path)})

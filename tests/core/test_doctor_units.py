"""What a unit file says of the daemon that it starts."""

import pytest

from orchestrator.doctor.units import Unit, parse
from orchestrator.service import Installation, render

HERE = {"n": "aiemp.service", "N": "aiemp", "t": "/run", "h": "/home/amy", "u": "amy"}


def parsed(service: str) -> Unit | None:
    text = f"[Unit]\nDescription=x\nUser=nobody\n[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n"
    return parse("aiemp.service", "/etc/aiemp.service", text, own=False, specifiers=HERE)


def found(service: str) -> Unit:
    unit = parsed(f"ExecStart=/opt/bin/aiemp run -c /srv/supervisor.toml\n{service}")
    assert unit is not None
    return unit


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("/opt/bin/aiemp run -c /srv/s.toml", "/srv/s.toml"),
        ("/opt/bin/aiemp -c /srv/s.toml run", "/srv/s.toml"),
        (':"/opt/a b/aiemp" run -c "/srv/a b.toml"', "/srv/a b.toml"),
        ("/usr/bin/python3 -m orchestrator.cli.aiemp run", None),
        ("-/opt/bin/aiemp \\\n  run -c %h/s.toml", "/home/amy/s.toml"),
        ("/opt/aiemp run -c /srv/100%%.toml", "/srv/100%.toml"),
    ],
)
def test_a_unit_that_runs_the_daemon(command: str, config: str | None) -> None:
    unit = parsed(f"ExecStart={command}")
    assert unit is not None
    assert unit.config == config


@pytest.mark.parametrize(
    "service",
    [
        "ExecStart=/opt/bin/aiemp doctor",
        "ExecStart=/usr/bin/nginx",
        "Environment=A=aiemp",
        "ExecStart=/opt/bin/aiemp run\nExecStart=\nExecStart=/bin/true",
        'ExecStart=/opt/bin/aiemp run "unclosed',
    ],
)
def test_a_unit_that_does_not(service: str) -> None:
    assert parsed(service) is None


@pytest.mark.parametrize(
    ("service", "environment"),
    [
        ("", {}),
        ("Environment=A=1 B=2", {"A": "1", "B": "2"}),
        ('Environment="A=1 2" B=%u', {"A": "1 2", "B": "amy"}),
        ("Environment=A=1\nEnvironment=A=2", {"A": "2"}),
        ("Environment=A=1\nEnvironment=\nEnvironment=B=2", {"B": "2"}),
        ("#Environment=A=1\n;Environment=B=2", {}),
        ("Environment=A=b=c D", {"A": "b=c"}),
    ],
)
def test_its_environment(service: str, environment: dict[str, str]) -> None:
    assert dict(found(service).environment) == environment


def test_its_account_directory_and_files() -> None:
    unit = found("User=amy\nWorkingDirectory=%h\nEnvironmentFile=-/etc/a\nEnvironmentFile=/etc/b")
    assert (unit.user, unit.directory, unit.environment_files) == ("amy", "/home/amy", ("-/etc/a", "/etc/b"))
    assert found("").user is None, "what stands in another section does not count"


def test_it_reads_what_aiemp_service_prints() -> None:
    it = Installation(
        config="/srv/a b/supervisor.toml",
        vault="/srv/vault",
        program=("/opt/100%/aiemp",),
        control=("/opt/100%/aiempctl",),
        account="amy",
        home="/home/amy",
        python="/usr",
        path="/opt/x:/usr/bin",
    )
    unit = parse("aiemp.service", "f", render("systemd", it), own=False, specifiers=HERE)
    assert unit is not None
    assert unit.config == "/srv/a b/supervisor.toml"
    assert unit.user == "amy"
    assert dict(unit.environment) == {"PATH": "/opt/x:/usr/bin", "XDG_RUNTIME_DIR": "/run/aiemp"}

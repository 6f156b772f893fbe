"""The engine with the command plugin, against an SSH server that can be told to misbehave."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.channel import SSHServerChannel

from tests.fakes.ssh_server import SshServer, refuse_variables
from tests.sandbox.programs import OFFICIAL, SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.programs import Program

ANOTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    server = SshServer()
    monkeypatch.setattr(
        SSHServerChannel, "_process_env_request", refuse_variables(lambda name: name in server.accepted)
    )
    with server:
        yield server


def declare(program: Program, server: SshServer, connection: str = "", /, options: str = "", **inputs: Any) -> None:
    """The program is one Command, `command`, with these inputs and pieces of Python."""
    (program.folder / "key").write_text(server.private_key)
    arguments = "".join(f"{name}={value!r}, " for name, value in inputs.items())
    program.write(f"""
        import pathlib

        import pulumi
        from pulumi_command import remote

        connection = dict(
            host="127.0.0.1", port={server.port}, private_key=pathlib.Path("key").read_text(),
            host_key={server.public_key!r}, dial_error_limit=2,
        )
        connection.update({connection})
        command = remote.Command(
            "command", connection=remote.ConnectionArgs(**connection), {arguments}
            opts=pulumi.ResourceOptions({options}),
        )
        pulumi.export("stdout", command.stdout)
        pulumi.export("stderr", command.stderr)
    """)


def failure(said: str) -> str:
    """The diagnostics of the command."""
    return said.partition("Diagnostics:")[2]


def test_a_commands_life(program: Program, server: SshServer) -> None:
    declare(program, server, create="print created", update="print updated", delete="print deleted", triggers=["1"])
    program.up()
    assert program.outputs() == {"stdout": "created", "stderr": ""}
    program.unchanged()
    program.pulumi("refresh", "--yes")
    assert [run.command for run in server.runs] == ["print created"]

    declare(program, server, create="print other", update="print updated", delete="print deleted", triggers=["1"])
    assert program.plan() == [("update", "command")]
    program.up()
    assert program.outputs()["stdout"] == "updated"

    declare(program, server, create="print other", update="print updated", delete="print deleted", triggers=["2"])
    assert program.plan() == [("replace", "command")]
    program.up()
    program.pulumi("destroy", "--yes")
    commands = [run.command for run in server.runs]
    assert commands == ["print created", "print updated", "print other", "print deleted", "print deleted"]


def test_an_update_without_a_command_of_its_own_runs_create(program: Program, server: SshServer) -> None:
    declare(program, server, create="cat", stdin="one")
    program.up()
    declare(program, server, create="cat", stdin="two")
    program.up()
    assert [run.stdin for run in server.runs] == ["one", "two"]
    assert program.outputs()["stdout"] == "two"


def test_nothing_is_dialled_on_teardown_without_delete(program: Program, server: SshServer) -> None:
    declare(program, server, create="print created")
    program.up()
    assert server.dials == 1
    program.pulumi("destroy", "--yes")
    assert server.dials == 1


def test_secrets_stay_secret(program: Program, server: SshServer) -> None:
    declare(
        program,
        server,
        create="cat",
        stdin="PLACEHOLDER",
        logging="none",
        options='additional_secret_outputs=["stdout", "stderr"]',
    )
    code = (program.folder / "__main__.py").read_text()
    program.write(code.replace("'PLACEHOLDER'", 'pulumi.Output.secret("hunter2")'))
    said = program.up() + program.pulumi("preview", "--diff") + program.pulumi("stack")
    assert server.runs[0].stdin == "hunter2"
    assert program.outputs()["stdout"] == "hunter2"
    state = program.state()
    for secret in ("hunter2", server.private_key.splitlines()[2]):
        assert secret not in said
        assert secret not in state


def test_output_is_shown_unless_logging_is_off(program: Program, server: SshServer) -> None:
    for logging in ("stdout", "none"):
        declare(program, server, create="cat", stdin=f"seen {logging}", logging=logging)
        shown = program.up().partition("Outputs:")[0]
        assert ("seen stdout" in shown) is (logging == "stdout")
        assert "seen none" not in shown


def test_an_environment_that_is_accepted(program: Program, server: SshServer) -> None:
    server.accepted = {"COLOUR"}
    declare(program, server, create="env COLOUR", environment={"COLOUR": "green"})
    program.up()
    assert program.outputs()["stdout"] == "green"


def test_an_environment_that_is_refused(program: Program, server: SshServer) -> None:
    declare(program, server, create="env COLOUR", environment={"COLOUR": "green"})
    said = failure(program.up(status=1))
    assert 'could not set environment variable "COLOUR": ssh: setenv failed' in said
    assert "AcceptEnv" in said
    assert server.runs == []


@pytest.mark.parametrize("wanted", [True, False])
def test_the_last_output_is_offered_in_the_environment(program: Program, server: SshServer, wanted: bool) -> None:
    server.accepted = {"PULUMI_COMMAND_STDOUT"}
    inputs: dict[str, Any] = {} if wanted else {"add_previous_output_in_env": False}
    declare(program, server, create="print first", **inputs)
    program.up()
    declare(program, server, create="env PULUMI_COMMAND_STDOUT", **inputs)
    program.up()
    assert program.outputs()["stdout"] == ("first" if wanted else "")


def test_the_last_output_that_is_refused_only_warns(program: Program, server: SshServer) -> None:
    declare(program, server, create="print first")
    program.up()
    declare(program, server, create="print second")
    assert "warning: Unable to set 'PULUMI_COMMAND_STDOUT'" in program.up()
    assert program.outputs()["stdout"] == "second"


def test_a_failing_command_shows_its_text_status_and_output(program: Program, server: SshServer) -> None:
    declare(program, server, create="fail 3", logging="none")
    said = failure(program.up(status=1))
    assert 'Process exited with status 3: running "fail 3":' in said
    assert "said before" in said
    assert "went wrong" in said
    assert "command" not in program.resources()
    declare(program, server, create="print mended")
    program.up()
    assert program.outputs()["stdout"] == "mended"


def test_another_host_key_is_refused_and_nothing_runs(program: Program, server: SshServer) -> None:
    wrong = ANOTHER_KEY.export_public_key().decode().strip()
    declare(program, server, f"dict(host_key={wrong!r})", create="print created")
    assert "after 2 failed attempts: ssh: handshake failed: ssh: host key mismatch" in failure(program.up(status=1))
    declare(program, server, "dict(host_key=None)", create="print unchecked")
    program.up()
    assert [run.command for run in server.runs] == ["print unchecked"]


def test_a_key_that_is_not_authorized(program: Program, server: SshServer) -> None:
    wrong = ANOTHER_KEY.export_private_key().decode()
    declare(program, server, f"dict(private_key={wrong!r})", create="print created")
    assert "after 2 failed attempts: ssh: handshake failed: ssh: unable to authenticate" in failure(
        program.up(status=1)
    )
    declare(program, server, 'dict(private_key="junk")', create="print created")
    assert "ssh: no key found" in failure(program.up(status=1))


def test_a_refused_dial_is_tried_again_and_the_next_update_goes_on(program: Program, server: SshServer) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        declare(program, server, f"dict(port={taken.getsockname()[1]})", create="print created")
        said = program.up(status=1)
    assert "connect: connection refused" in failure(said)
    assert "after 2 failed attempts: dial tcp 127.0.0.1:" in failure(said)
    declare(program, server, create="print created")
    program.up()


def test_dials_end_at_the_resources_own_time(program: Program, server: SshServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        declare(
            program,
            server,
            f"dict(port={taken.getsockname()[1]}, dial_error_limit=-1)",
            create="print created",
            options='custom_timeouts=pulumi.CustomTimeouts(create="2s")',
        )
        assert "context deadline exceeded" in failure(program.up(status=1))


def test_a_dead_agent_fails_the_resource(program: Program, server: SshServer) -> None:
    path = str(program.folder / "no.sock")
    declare(program, server, f"dict(agent_socket_path={path!r})", create="print created")
    assert f"dial unix {path}: connect: no such file or directory" in failure(program.up(status=1))


def test_a_connection_that_breaks_off(program: Program, server: SshServer) -> None:
    declare(program, server, create="break")
    said = failure(program.up(status=1))
    assert 'remote command exited without exit status or exit signal: running "break"' in said
    declare(program, server, create="print created")
    program.up()


def test_a_rotated_key_can_be_ignored(program: Program, server: SshServer) -> None:
    ignored = 'ignore_changes=["connection.privateKey"]'
    declare(program, server, create="print created", options=ignored)
    program.up()
    server.client_key = ANOTHER_KEY
    declare(program, server, create="print created", options=ignored)
    program.unchanged()
    declare(program, server, create="print created")
    assert program.plan() == [("update", "command")]


def test_what_a_preview_cannot_know(program: Program, server: SshServer) -> None:
    """An unknown input is a change, but for a connection: that is secret, and the official plugin passes over it."""
    declare(program, server, create="cat", stdin="WORD")
    code = (program.folder / "__main__.py").read_text()

    def write(keeper: int, stdin: str, host: str) -> None:
        made = f"""
import pulumi_random as random

word = random.RandomPassword("word", length=8, keepers={{"a": "{keeper}"}})
public = pulumi.Output.unsecret(word.result)
host = public.apply(lambda _: "127.0.0.1")
"""
        text = code.replace("connection = dict(", f"{made}\nconnection = dict(").replace("'WORD'", stdin)
        (program.folder / "__main__.py").write_text(text.replace('host="127.0.0.1"', f"host={host}"))

    write(1, "public", '"127.0.0.1"')
    assert sorted(program.plan()) == [("create", "command"), ("create", "word")]
    program.up()
    program.unchanged()
    write(2, "public", '"127.0.0.1"')
    assert sorted(program.plan()) == [("replace", "word"), ("update", "command")]
    program.up()
    assert len(server.runs) == 2
    write(3, '"constant"', "host")
    program.up()
    write(4, '"constant"', "host")
    assert program.plan() == [("replace", "word")]
    program.up()
    assert [run.stdin for run in server.runs][2:] == ["constant"]


@pytest.mark.skipif(OFFICIAL, reason="an official plugin looks only every five minutes whether its engine lives")
def test_a_command_ends_with_its_engine(program: Program, server: SshServer) -> None:
    declare(program, server, create="hang")
    with program.start("up", "--yes", "--skip-preview") as process:
        eventually(lambda: server.runs, SECONDS)
        process.kill()
    eventually(lambda: server.connections == 0)
    pending = json.loads(program.state())["deployment"]["pending_operations"]
    assert [operation["type"] for operation in pending] == ["creating"]
    program.pulumi("cancel", "--yes", "test")
    declare(program, server, create="print created")
    program.up()
    assert program.outputs()["stdout"] == "created"


def test_an_interrupted_update_does_not_dial_again(program: Program, server: SshServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        declare(
            program,
            server,
            f"dict(port={taken.getsockname()[1]}, dial_error_limit=-1)",
            create="print created",
        )
        with program.start("up", "--yes", "--skip-preview") as process:
            assert process.stdout
            for line in process.stdout:
                if "Dial 2/inf failed: retrying" in line:
                    break
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert "context canceled" in said

"""Restarts an instance's services over SSH, and says whether the page is back: the guide's Restart Caddy."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from meltanodata.config.checks import Check
from meltanodata.doctor import diagnosis, droplet_facts
from meltanodata.doctor.diagnosis import Finding, Level, Seen
from meltanodata.droplet import files, ssh
from meltanodata.droplet.layout import RUN_LOCK
from meltanodata.droplet.scripts import codes, words
from meltanodata.droplet.scripts.restart import RestartCode  # noqa: TC001 - pydantic looks at it

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import SecretStr

    from meltanodata.engine.instances import Instance

SERVICES = ("meltano", "caddy")
"""What can be restarted, in this order: Caddy answers for Meltano."""
_BUSY = 75
"""The exit code of a droplet that one of our scripts is at work on."""
_BYTES = 1 << 16
"""Read of the droplet's answer."""


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    answer: float = 10
    """For the SSH server's answer."""
    page: int = 60
    """Until the page has to answer after the restarts."""
    script: int = 300
    """For all that the droplet does."""


class _Outcome(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    code: RestartCode
    detail: Annotated[str, AfterValidator(lambda text: text[:500])]


class _Answer(BaseModel):
    """What the script prints."""

    model_config = ConfigDict(strict=True, frozen=True)

    services: dict[str, _Outcome]
    page: droplet_facts.Problem[codes.PageCode] | None


class _NoAnswer(Exception):  # noqa: N818 - says what happened
    """The droplet did not say what it restarted; `findings` say why."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__()
        self.findings = list(findings)


def restart(
    instance: Instance,
    port: int,
    private_key: SecretStr,
    caddy_version: int,
    services: Sequence[str],
    *,
    limits: Limits = Limits(),
) -> list[Finding]:
    """Restart services of an instance and wait for its page.

    Args:
        instance: where.
        port: of its SSH server.
        private_key: root's.
        caddy_version: Caddy's major version.
        services: some of `SERVICES`.
        limits: how long things may take.

    Returns:
        What came back and what did not; nothing in it is a secret.
    """
    document = files.restart_document(instance.host, services, caddy_version, limits.page)
    try:
        answer = asyncio.run(_ask(instance, port, private_key, files.call("restart", document), limits))
    except _NoAnswer as none:
        return none.findings
    if set(answer.services) != set(services):
        return [_unknown(instance, "the droplet's answer is about other services")]
    secrets = instance.secrets | {private_key.get_secret_value()}
    return list(_findings(instance, droplet_facts.without(secrets, answer)))


async def _ask(instance: Instance, port: int, private_key: SecretStr, script: str, limits: Limits) -> _Answer:
    """What the droplet says that it did.

    Raises:
        _NoAnswer: it did not, or nobody knows.
    """
    if instance.address is None or instance.host_key is None:
        raise _NoAnswer(*diagnosis.findings(instance, Seen(), datetime.now(UTC)))
    # The lock of a run's own Commands: a service must not come and go while one of them changes its files.
    command = f"flock --close --nonblock --conflict-exit-code {_BUSY} {RUN_LOCK}"
    command += f" timeout --kill-after=5 {max(limits.script - 10, 1)} python3 -"
    # A flock that does not get the lock reads nothing; a script that nobody reads would look like a broken connection.
    command += "; code=$?; cat >/dev/null; exit $code"
    try:
        connection = await ssh.sign_in(instance.address, port, private_key, instance.host_key, limits.answer)
    except ssh.NotSignedIn as not_in:
        seen = Seen(contact=not_in.contact)
        raise _NoAnswer(*diagnosis.findings(instance, seen, datetime.now(UTC))) from None
    try:
        ran = await ssh.run(connection, command, script, seconds=limits.script, max_bytes=_BYTES)
    except TimeoutError:
        raise _NoAnswer(_unknown(instance, f"the restart did not end within {limits.script} seconds")) from None
    except ssh.TooMuch:
        raise _NoAnswer(_unknown(instance, f"the droplet's answer is longer than {_BYTES >> 10} KiB")) from None
    except ssh.Broken:
        raise _NoAnswer(_unknown(instance, "the SSH connection broke during the restart")) from None
    finally:
        connection.abort()
    if ran.exit_status == _BUSY:
        text = "nothing was restarted: a run, or what an interrupted run began there, is still working on the droplet"
        raise _NoAnswer(Finding(Check.SYSTEM, Level.WRONG, text, "Wait until it has ended, then run this again"))
    try:
        return _Answer.model_validate_json(ran.stdout)
    except ValidationError:
        # Nothing of what the droplet printed: it may have secrets in it.
        said = f"the script on the droplet ended with exit code {ran.exit_status} and no answer"
        raise _NoAnswer(_unknown(instance, said)) from None


def _findings(instance: Instance, answer: _Answer) -> Iterator[Finding]:
    again = f"meltanodata up --stack {instance.stack} --replace '**::{instance.tenant}-files'"
    logs = f"meltanodata logs {instance.tenant} --stack {instance.stack}"
    for name, outcome in answer.services.items():
        match outcome.code:
            case "restarted":
                yield Finding(Check.SYSTEM, Level.OK, f"{name} was restarted")
            case "rejected":
                text = f"{name} was not restarted and still runs, because it rejects its files: {outcome.detail}"
                yield Finding(Check.SYSTEM, Level.WRONG, text, f"Write them again: {again}")
            case _:
                text = f"{name} does not start: {outcome.detail}"
                yield Finding(
                    Check.SYSTEM, Level.WRONG, text, f"Read its log: {logs}. If one of its files is to blame: {again}"
                )
    if answer.page is None:
        yield Finding(Check.PAGE, Level.OK, f"https://{instance.host} asks for the login")
    else:
        text = words.about_page(instance.host, codes.Problem(answer.page.code, answer.page.detail)).text
        yield Finding(Check.PAGE, Level.WRONG, text, f"Diagnose it: {_doctor(instance)}")


def _unknown(instance: Instance, text: str) -> Finding:
    return Finding(
        Check.SYSTEM, Level.WRONG, f"{text}. What was restarted is unknown", f"Diagnose it: {_doctor(instance)}"
    )


def _doctor(instance: Instance) -> str:
    return f"meltanodata doctor {instance.tenant} --stack {instance.stack}"

"""A plugin as the engine talks to it, the official one or ours, and the comparison of what both say.

MELTANODATA_OFFICIAL_PLUGINS names the folder of the official ones. Run by `make parity` and not with the other tests,
for nothing of the project needs an official plugin.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.plugins.values import Properties, decode, encode, plain
from tests.sandbox.programs import plugin_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.plugins.package import Package

OFFICIAL = Path(os.environ["MELTANODATA_OFFICIAL_PLUGINS"])


_DIRECT = (("grpc.enable_http_proxy", 0),)


class Engine(engine_pb2_grpc.EngineServicer):
    """Hears what a plugin logs while it works, as a context manager."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, str, bool]] = []
        """Severity, text, and whether it is shown only until the next."""
        self._server = grpc.server(ThreadPoolExecutor(1))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def Log(self, request: engine_pb2.LogRequest, context: Any) -> Empty:  # noqa: N802 -- named by the protocol
        """A line."""
        del context
        severity = engine_pb2.LogSeverity.Name(request.severity)
        if severity != "DEBUG":
            self.logged.append((severity, " ".join(request.message.split()), request.ephemeral))
        return Empty()


class World:
    """A plugin, and all that it said."""

    package: ClassVar[Package[Any]]
    same: ClassVar[tuple[str, ...]] = ()
    """Patterns of what differs from world to world: numbered as it comes."""
    accepts_secrets: ClassVar[bool] = False
    """Whether the engine hands it the state's secrets as such."""
    bookkeeping: ClassVar[frozenset[str]] = frozenset({"__pulumi_raw_state_delta"})
    """Properties that are the bridge's own."""

    def __init__(self, target: str, engine: Engine, settings: Properties) -> None:
        channel = grpc.insecure_channel(target, options=_DIRECT)
        self._stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        self._stub.Attach(plugin_pb2.PluginAttach(address=engine.address))
        self._tokens = {resource.token.rpartition(":")[2]: resource.token for resource in self.package.resources}
        self.said: list[str] = []
        self.seconds: list[float] = []
        """What each call took."""
        self._numbers: dict[str, str] = {}
        self._stub.Configure(
            provider_pb2.ConfigureRequest(args=encode(settings), acceptSecrets=True, acceptResources=True)
        )

    def note(self, what: str, answer: Any) -> None:
        """Keep something that must be the same in both worlds."""
        text = json.dumps(self._without_bookkeeping(answer), sort_keys=True)
        for pattern in self.same:
            text = re.sub(pattern, self._number, text)
        self.said.append(f"{what}: {text}")

    def _number(self, match: re.Match[str]) -> str:
        found = match.group()
        return self._numbers.setdefault(found, f"<{len(self._numbers)}>")

    def _call(self, method: str, kind: str, request: Any) -> Any:
        started = time.monotonic()
        try:
            answer = getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            # The official one says of whom in front of what it refuses to plan.
            text = re.sub(r"^diffing \S+: ", "", error.details() or "")
            self.note(f"{method} {kind}", [error.code().name, text])
            return None
        finally:
            self.seconds.append(time.monotonic() - started)
        if method == "Diff":  # of several changes Go names one or the other first
            answer.diffs.sort()
            answer.replaces.sort()
        self.note(f"{method} {kind}", MessageToDict(answer))
        return answer

    def check(self, kind: str, inputs: Properties) -> Properties:
        """What a program says, checked; nothing when that is wrong."""
        request = provider_pb2.CheckRequest(news=encode(inputs), randomSeed=b"s" * 32)
        answer = self._call("Check", kind, self._about(request, kind))
        if answer is None:
            return {}
        # Of several things that are wrong Go names one or the other first.
        answer.failures.sort(key=lambda failure: failure.reason)
        self.said[-1] = ""
        self.note(f"Check {kind}", MessageToDict(answer))
        return {} if answer.failures else decode(answer.inputs)

    def preview(self, kind: str, inputs: Properties) -> None:
        """What would be made of checked inputs."""
        if inputs:
            request = provider_pb2.CreateRequest(properties=encode(inputs), preview=True)
            self._call("Create", kind, self._about(request, kind))

    def create(self, kind: str, inputs: Properties, seconds: float = 0) -> tuple[str, Properties]:
        """Make it."""
        request = provider_pb2.CreateRequest(properties=encode(inputs), timeout=seconds)
        answer = self._call("Create", kind, self._about(request, kind))
        return (answer.id, self._state(answer.properties)) if answer else ("", {})

    def diff(
        self, kind: str, old: tuple[str, Properties], inputs: Properties, *ignored: str, was: Properties | None = None
    ) -> None:
        """What an update would do; `was` are the inputs of the last one."""
        request = provider_pb2.DiffRequest(
            id=old[0], olds=encode(old[1]), news=encode(inputs), old_inputs=encode(was or {}), ignoreChanges=ignored
        )
        self._call("Diff", kind, self._about(request, kind))

    def update(
        self, kind: str, old: tuple[str, Properties], inputs: Properties, was: Properties | None = None
    ) -> tuple[str, Properties]:
        """Preview it and do it."""
        self.preview_update(kind, old, inputs, was)
        answer = self._call("Update", kind, self._change(kind, old, inputs, was))
        return (old[0], self._state(answer.properties)) if answer else old

    def preview_update(
        self, kind: str, old: tuple[str, Properties], inputs: Properties, was: Properties | None = None
    ) -> None:
        """What would come of it."""
        request = self._change(kind, old, inputs, was)
        request.preview = True
        self._call("Update", kind, request)

    def _change(
        self, kind: str, old: tuple[str, Properties], inputs: Properties, was: Properties | None
    ) -> provider_pb2.UpdateRequest:
        request = provider_pb2.UpdateRequest(
            id=old[0], olds=encode(old[1]), news=encode(inputs), old_inputs=encode(was or {})
        )
        self._about(request, kind)
        return request

    def read(self, kind: str, id_: str, old: Properties, inputs: Properties) -> tuple[str, Properties]:
        """Refresh it; without an old state, import it."""
        request = provider_pb2.ReadRequest(id=id_, properties=encode(old), inputs=encode(inputs))
        answer = self._call("Read", kind, self._about(request, kind))
        return (answer.id, self._state(answer.properties)) if answer else ("", {})

    def delete(self, kind: str, old: tuple[str, Properties]) -> None:
        """Remove it."""
        request = provider_pb2.DeleteRequest(id=old[0], properties=encode(old[1]))
        self._call("Delete", kind, self._about(request, kind))

    def invoke(self, name: str, arguments: Properties) -> None:
        """A function's result."""
        token = f"{self.package.name}:index/{name}:{name}"
        self._call("Invoke", name, provider_pb2.InvokeRequest(tok=token, args=encode(arguments)))

    def _state(self, properties: Any) -> Properties:
        outputs = decode(properties)
        return outputs if self.accepts_secrets else dict(plain(outputs))

    def _about(self, request: Any, kind: str) -> Any:
        request.urn = f"urn:pulumi:s::p::{self._tokens[kind]}::it"
        request.type = self._tokens[kind]
        request.name = "it"
        return request

    def _without_bookkeeping(self, value: Any) -> Any:
        """The answer without what is the bridge's own, and without nulls."""
        if isinstance(value, list):
            return [self._without_bookkeeping(item) for item in value]
        if not isinstance(value, dict):
            return value
        kept = {
            key: self._without_bookkeeping(item)
            for key, item in value.items()
            if item is not None and key not in self.bookkeeping
        }
        if "__meta" in kept:
            meta = json.loads(kept["__meta"])
            kept["__meta"] = {key: item for key, item in meta.items() if item != "0" and key != "_new_extra_shim"}
        return kept


@contextlib.contextmanager
def official(package: str) -> Iterator[str]:
    """The address of a package's official plugin."""
    with subprocess.Popen([OFFICIAL / f"pulumi-resource-{package}"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextlib.contextmanager
def stand_in(package: str) -> Iterator[str]:
    """The address of ours."""
    with plugin_server() as attach:
        yield f"127.0.0.1:{dict(pair.split(':') for pair in attach.split(','))[package]}"

"""Runs the program on Pulumi's mocks and keeps what it registered, the options too, which the mocks themselves drop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pulumi
from google.protobuf import json_format
from pulumi.runtime.mocks import MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.rpc import is_rpc_secret, unwrap_rpc_secret
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

PROJECT, STACK = "meltanodata", "test"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
PASSWORD = "p'w"


@dataclass(frozen=True)
class Registered:
    """A resource as the engine is told of it."""

    type: str
    name: str
    custom: bool
    inputs: Mapping[str, Any]
    """Without the marks of secrets."""
    secrets: frozenset[str]
    """Paths of the inputs that are marked as secret, such as `connection.privateKey`."""
    parent: str
    """The names of other resources; empty where there is none."""
    provider: str
    depends_on: frozenset[str]
    deleted_with: str
    ignore_changes: frozenset[str]
    replace_on_changes: frozenset[str]
    replacement_trigger: Any
    delete_before_replace: bool
    import_id: str
    secret_outputs: frozenset[str]
    timeouts: Mapping[str, str]
    protect: bool
    before_create: tuple[str, ...]
    """The names of hooks, see `Recording.hooks`."""
    after_create: tuple[str, ...]
    before_delete: tuple[str, ...]
    on_error: tuple[str, ...]


@dataclass
class Recording:
    """Everything that a run of the program registered."""

    resources: dict[str, Registered] = field(default_factory=dict)
    """By their names."""
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of components, by their names; secrets as `{"secret": value}`."""
    exports: dict[str, Any] = field(default_factory=dict)
    """Of the stack; secrets as above."""
    hooks: dict[str, pulumi.ResourceHook | pulumi.ErrorHook] = field(default_factory=dict)
    """By their names."""
    error: str | None = None
    """What the program ended with, where something failed."""

    def __getitem__(self, name: str) -> Registered:
        return self.resources[name]


def _secret(value: str) -> dict[str, str]:
    """A secret output as an engine sends it."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


class _World(Mocks):
    """What DigitalOcean and the droplets would say."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        state = dict(args.inputs)
        id_ = f"{args.name}-id"
        match args.typ:
            case "digitalocean:index/droplet:Droplet":
                state |= {"ipv4Address": f"address of {args.name}", "dropletUrn": f"do:droplet:{args.name}"}
            case "digitalocean:index/databaseCluster:DatabaseCluster":
                password = _secret(PASSWORD)
                state |= {"host": f"{args.inputs.get('name')}.db", "port": 25060, "password": password}
                state |= {"database": "defaultdb", "user": "doadmin"}
            case "random:index/randomPassword:RandomPassword":
                state |= {"result": _secret(f"result of {args.name}")}
            case "command:remote:Command":
                state |= {"stdout": HOST_KEY if args.name.endswith("-host-key") else "", "stderr": ""}
        return id_, state

    def call(self, args: Any) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program has no functions to call: {args.token}")


class _Recorder(MockMonitor):
    def __init__(self, failing: Collection[str]) -> None:
        super().__init__(_World())
        self.recording = Recording()
        self._failing = failing

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802 - gRPC's name
        inputs = json_format.MessageToDict(request.object)
        name = request.name
        if name in self.recording.resources:
            raise AssertionError(f"{name} is registered twice")
        trigger = _open(json_format.MessageToDict(request.replacement_trigger))
        timeouts = {kind: getattr(request.customTimeouts, kind) for kind in ("create", "update", "delete")}
        self.recording.resources[name] = Registered(
            type=request.type,
            name=name,
            custom=request.custom,
            inputs=_open(inputs),
            secrets=frozenset(_secret_paths(inputs)),
            parent=_name(request.parent),
            provider=_name(request.provider.rsplit("::", 1)[0]) if request.provider else "",
            depends_on=frozenset(map(_name, request.dependencies)),
            deleted_with=_name(request.deletedWith),
            ignore_changes=frozenset(request.ignoreChanges),
            replace_on_changes=frozenset(request.replaceOnChanges),
            replacement_trigger=trigger,
            delete_before_replace=request.deleteBeforeReplace,
            import_id=request.importId,
            secret_outputs=frozenset(request.additionalSecretOutputs),
            timeouts={kind: limit for kind, limit in timeouts.items() if limit},
            protect=request.protect,
            before_create=tuple(request.hooks.before_create),
            after_create=tuple(request.hooks.after_create),
            before_delete=tuple(request.hooks.before_delete),
            on_error=tuple(request.hooks.on_error),
        )
        if name in self._failing:
            urn = self.make_urn(request.parent, request.type, name)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # the SDK's

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:  # noqa: N802
        outputs = json_format.MessageToDict(request.outputs)
        self.recording.outputs[_name(request.urn)] = {name: _marked(value) for name, value in outputs.items()}
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]  # the SDK's


def record(
    program: Callable[[], object], config: Mapping[str, str] | None = None, failing: Collection[str] = ()
) -> Recording:
    """Run a program to its end, as `up` of a stack with this config would.

    Args:
        program: what to run.
        config: the stack's.
        failing: names of resources that cannot be made, as with --continue-on-error.

    Raises:
        Whatever the program raises.
    """
    # The mocks want a loop in this thread and in each of those that answer, and close none.
    loops: list[asyncio.AbstractEventLoop] = []

    def take_loop() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    take_loop()
    loops[0].set_default_executor(executor := ThreadPoolExecutor(4, initializer=take_loop))
    try:
        return _record(program, config or {}, failing)
    finally:
        executor.shutdown()
        asyncio.set_event_loop(None)
        for loop in loops:
            loop.close()


def _record(program: Callable[[], object], config: Mapping[str, str], failing: Collection[str]) -> Recording:
    monitor = _Recorder(failing)
    set_mocks(monitor.mocks, project=PROJECT, stack=STACK, organization="organization", preview=False, monitor=monitor)
    pulumi.runtime.set_all_config(dict(config), [])

    def body() -> pulumi.Output[None]:
        program()
        stack = get_root_resource()
        assert isinstance(stack, Stack)
        return pulumi.Output.from_input(_seen(stack.outputs)).apply(monitor.recording.exports.update)

    def register(hook: pulumi.ResourceHook | pulumi.ErrorHook) -> asyncio.Future[None]:
        monitor.recording.hooks[hook.name] = hook
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    # The mocks have no server for what the engine would call back.
    with (
        patch("pulumi.resource_hooks.register_resource_hook", register),
        patch("pulumi.resource_hooks.register_error_hook", register),
    ):
        try:
            pulumi.runtime.test(body)()  # type: ignore[no-untyped-call]  # the SDK's
        except pulumi.RunError as error:
            if not failing:
                raise
            monitor.recording.error = str(error)
    return monitor.recording


def _seen(value: Any) -> Any:
    """A value with the outputs in it as they are shown, secrets marked."""
    if isinstance(value, pulumi.Output):
        both = pulumi.Output.all(pulumi.Output.unsecret(value), value.is_secret())
        return both.apply(lambda it: {"secret": it[0]} if it[1] else it[0])
    return {key: _seen(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _open(value: Any) -> Any:
    if is_rpc_secret(value):
        return _open(unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: _open(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_open(inner) for inner in value]
    return value


def _marked(value: Any) -> Any:
    if is_rpc_secret(value):
        return {"secret": _open(value)}
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    return value


def _secret_paths(value: Any, path: str = "") -> Iterator[str]:
    if is_rpc_secret(value):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _secret_paths(inner, f"{path}.{key}".lstrip("."))

"""Serves packages on Pulumi's provider protocol.

Every explicit provider of a program opens a connection of its own and configures it, so the configuration is kept
per connection ("peer"); several engines can use the server at once. The protocol is `provider.proto` of Pulumi's
SDK; its Python SDK brings the generated code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from sandbox.plugins.package import (
    Call,
    Config,
    Crashed,
    Function,
    Package,
    PartiallyDone,
    Plan,
    ProviderError,
    Resource,
    Severity,
    State,
    Stopped,
)
from sandbox.plugins.schema import PropertyChange, check, difference, mirrored
from sandbox.plugins.values import Properties, decode, encode, plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

_UNLIMITED: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_DIRECT: Sequence[tuple[str, int]] = (("grpc.enable_http_proxy", 0),)
Context = grpc.aio.ServicerContext[Any, Any]


async def serve(packages: Sequence[Package[Any]]) -> tuple[list[grpc.aio.Server], str]:
    """Start a server per package on a free port of loopback.

    Returns:
        The servers, and the value for PULUMI_DEBUG_PROVIDERS.
    """
    servers, attach = [], []
    for package in packages:
        server = grpc.aio.server(options=_UNLIMITED)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(package), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
        attach.append(f"{package.name}:{port}")
    return servers, ",".join(attach)


@dataclass
class _Peer:
    """One connection of an engine."""

    engine: str = ""
    """The address of the engine's own server, where log lines go."""
    configured: bool = False
    config: Any = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    running: set[asyncio.Task[Any]] = field(default_factory=set)
    crashed: bool = False

    def crash(self) -> None:
        """End as a process that dies: all its calls at once."""
        self.crashed = True
        for task in self.running:
            task.cancel()


class Servicer(provider_pb2_grpc.ResourceProviderServicer, Generic[Config]):
    """The protocol for one package."""

    def __init__(self, package: Package[Config]) -> None:
        self._package = package
        self._resources = {resource.token: resource for resource in package.resources}
        self._functions = {function.token: function for function in package.functions}
        # A connection's end is not told; an entry lives until its port is used again, by a handshake.
        self._peers: dict[str, _Peer] = {}

    # -- the connection ------------------------------------------------------------------------------------------

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        """The first call on a connection."""
        self._peers[context.peer()] = _Peer(engine=request.engine_address)
        secrets = self._package.accepts_secrets
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=secrets, accept_outputs=secrets)

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> Empty:
        """Follows the handshake where the engine did not start the plugin itself."""
        self._peer(context).engine = request.address
        return Empty()

    async def GetPluginInfo(self, request: Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version that stands in the state."""
        del request, context
        return plugin_pb2.PluginInfo(version=self._package.version)

    async def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        """No more than the package's name: programs in Python bring their own types."""
        del request, context
        schema = {"name": self._package.name, "version": self._package.version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    async def Cancel(self, request: Empty, context: Context) -> Empty:
        """Stops the waits of this connection's operations, as after Ctrl-C."""
        del request
        self._peer(context).cancelled.set()
        return Empty()

    # -- the provider's configuration ----------------------------------------------------------------------------

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Nothing to check before `Configure`."""
        del context
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """No change of configuration replaces a provider."""
        del context
        return _diff_response(Plan(difference({}, decode(request.old_inputs), decode(request.news))))

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        """Keeps the configuration for the connection."""
        async with _errors_sent(context):
            peer = self._peer(context)
            peer.config = self._package.configure(plain(decode(request.args)))
            peer.configured = True
        secrets = self._package.accepts_secrets
        return provider_pb2.ConfigureResponse(acceptSecrets=secrets, acceptOutputs=secrets, supportsPreview=True)

    # -- resources -----------------------------------------------------------------------------------------------

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """The inputs with defaults, or what is wrong with them."""
        async with _errors_sent(context):
            resource = self._resource(request.type)
            name = request.urn.rpartition("::")[2]
            inputs, failures = resource.checked(name, decode(request.news), decode(request.olds), request.randomSeed)
        return provider_pb2.CheckResponse(
            inputs=encode(inputs),
            failures=[provider_pb2.CheckFailure(property=item.path, reason=item.reason) for item in failures],
        )

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """What an update would change, and whether it takes a new object."""
        async with _errors_sent(context):
            resource = self._resource(request.type)
            old = State(decode(request.old_inputs), decode(request.olds))
            plan = resource.plan(old, decode(request.news), request.ignoreChanges)
        return _diff_response(plan)

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Makes the object, or foretells its outputs."""
        inputs = decode(request.properties)
        async with self._call(context, request.urn, request.timeout) as call:
            resource = self._resource(request.type)
            if request.preview:
                outputs = resource.preview_create(plain(inputs))
                return provider_pb2.CreateResponse(
                    id=resource.preview_id(call.name), properties=_outputs(resource, inputs, outputs)
                )
            try:
                created = await resource.create(call, plain(inputs))
            except PartiallyDone as error:
                await _abort_partially(context, error, _outputs(resource, inputs, error.outputs))
            return provider_pb2.CreateResponse(id=created.id, properties=_outputs(resource, inputs, created.outputs))

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """The object as it is; no id when it is gone."""
        inputs, outputs = decode(request.inputs), decode(request.properties)
        async with self._call(context, request.urn, request.timeout) as call:
            resource = self._resource(request.type)
            old = State(plain(inputs), plain(outputs)) if outputs or inputs else None
            found = await resource.read(call, request.id, old)
            if found is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.id,
                inputs=encode(mirrored(inputs, found.state.inputs)),
                properties=_outputs(resource, outputs, found.state.outputs),
            )

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Changes the object in place, or foretells its outputs."""
        inputs = decode(request.news)
        async with self._call(context, request.urn, request.timeout) as call:
            resource = self._resource(request.type)
            old = _state(request.old_inputs, request.olds)
            if request.preview:
                outputs = resource.preview_update(old, plain(inputs))
                return provider_pb2.UpdateResponse(properties=_outputs(resource, inputs, outputs))
            try:
                outputs = await resource.update(call, request.id, old, plain(inputs))
            except PartiallyDone as error:
                await _abort_partially(context, error, _outputs(resource, inputs, error.outputs))
            return provider_pb2.UpdateResponse(properties=_outputs(resource, inputs, outputs))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> Empty:
        """Removes the object."""
        async with self._call(context, request.urn, request.timeout) as call:
            resource = self._resource(request.type)
            await resource.delete(call, request.id, _state(request.old_inputs, request.properties))
        return Empty()

    # -- functions -----------------------------------------------------------------------------------------------

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """A function's result."""
        async with self._call(context, "", 0) as call:
            function = self._function(request.tok)
            inputs, failures = check(function.inputs, decode(request.args))
            if failures:
                found = [provider_pb2.CheckFailure(property=item.path, reason=item.reason) for item in failures]
                return provider_pb2.InvokeResponse(failures=found)
            response = provider_pb2.InvokeResponse()
            getattr(response, "return").CopyFrom(encode(await function.invoke(call, plain(inputs))))
            return response

    # ------------------------------------------------------------------------------------------------------------

    def _peer(self, context: Context) -> _Peer:
        return self._peers.setdefault(context.peer(), _Peer())

    def _resource(self, token: str) -> Resource[Config]:
        if token not in self._resources:
            raise ProviderError(f"the stand-in plugin {self._package.name} has no resource {token}")
        return self._resources[token]

    def _function(self, token: str) -> Function[Config]:
        if token not in self._functions:
            raise ProviderError(f"the stand-in plugin {self._package.name} has no function {token}")
        return self._functions[token]

    @contextlib.asynccontextmanager
    async def _call(self, context: Context, urn: str, seconds: float) -> AsyncIterator[Call[Config]]:
        """A call on the configured provider; errors inside become the RPC's."""
        peer = self._peer(context)
        async with contextlib.AsyncExitStack() as stack, _errors_sent(context):
            if not peer.configured:
                raise ProviderError(
                    f"the stand-in plugin {self._package.name} was restarted during the update: run it again"
                )
            stack.enter_context(_crashing(peer))
            send = _log(stack, peer.engine, urn)
            yield Call(peer.config, urn, seconds, peer.cancelled, send)


def _log(stack: contextlib.AsyncExitStack, engine: str, urn: str) -> Callable[[Severity, str, bool], Awaitable[None]]:
    """Sends log lines to the engine, on a connection that is opened by the first and closed with the stack."""
    stubs: list[engine_pb2_grpc.EngineAsyncStub] = []

    async def send(severity: Severity, text: str, ephemeral: bool) -> None:
        if not stubs:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(engine, options=_DIRECT))
            stubs.append(engine_pb2_grpc.EngineStub(channel))  # type: ignore[arg-type]  # asynchronous by its channel
        await stubs[0].Log(
            engine_pb2.LogRequest(
                severity=engine_pb2.LogSeverity.Value(severity), message=text, urn=urn, ephemeral=ephemeral
            )
        )

    return send


@contextlib.contextmanager
def _crashing(peer: _Peer) -> Iterator[None]:
    """One call's crash is every call's."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- gRPC runs each call as a task
    if peer.crashed:
        raise Crashed
    peer.running.add(task)
    try:
        yield
    except Crashed:
        peer.running.discard(task)
        peer.crash()
        raise
    except asyncio.CancelledError:
        if peer.crashed:
            raise Crashed from None
        raise
    finally:
        peer.running.discard(task)


@contextlib.asynccontextmanager
async def _errors_sent(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except Crashed:
        # What the engine reports of a plugin that died.
        await context.abort(grpc.StatusCode.UNAVAILABLE, "error reading from server: EOF")
    except Stopped as error:
        code = grpc.StatusCode.DEADLINE_EXCEEDED if error.late else grpc.StatusCode.CANCELLED
        await context.abort(code, str(error))
    except ProviderError as error:
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except (grpc.aio.AbortError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 -- a bug of ours: it is shown where it struck, and the server goes on
        traceback.print_exc()
        await context.abort(grpc.StatusCode.INTERNAL, f"the stand-in plugin failed: {error!r}")


async def _abort_partially(context: Context, error: PartiallyDone, outputs: Any) -> NoReturn:
    """Fail with the object's id and outputs, which the engine keeps."""
    detail = AnyMessage()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(id=error.id, properties=outputs, reasons=[str(error)]),
        type_url_prefix="type.googleapis.com/",
    )
    code, _ = grpc.StatusCode.UNKNOWN.value
    status = status_pb2.Status(code=code, message=str(error), details=[detail])
    await context.abort(grpc.StatusCode.UNKNOWN, str(error), (("grpc-status-details-bin", status.SerializeToString()),))
    raise AssertionError("abort raises")


def _state(inputs: Any, outputs: Any) -> State:
    return State(plain(decode(inputs)), plain(decode(outputs)))


def _outputs(resource: Resource[Any], inputs: Properties, outputs: Properties) -> Any:
    """The message of outputs, each as secret as it must be."""
    return encode(resource.sealed(inputs, outputs), nulls=True)


def _diff_response(plan: Plan) -> provider_pb2.DiffResponse:
    found = plan.changes
    top = {path: path.split(".")[0].split("[")[0] for path in found}
    replaces = {top[path] for path, change in found.items() if change.replaces}
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted(set(top.values())),
        replaces=sorted(replaces),
        stables=plan.stables,
        deleteBeforeReplace=plan.delete_before_replace and bool(replaces),
        hasDetailedDiff=plan.detailed,
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=_kind(change), inputDiff=plan.of_inputs)
            for path, change in found.items()
            if plan.detailed
        },
    )


def _kind(change: PropertyChange) -> provider_pb2.PropertyDiff.Kind.ValueType:
    return provider_pb2.PropertyDiff.Kind.Value(change.change.value + ("_REPLACE" if change.replaces else ""))

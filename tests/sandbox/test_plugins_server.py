"""The plugin server on the provider protocol, as an engine talks to it, with a package made for the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.plugins.package import Call, Created, Found, Package, PartiallyDone, ProviderError, Resource, State
from sandbox.plugins.schema import Field, Fields
from sandbox.plugins.server import serve
from sandbox.plugins.values import UNKNOWN, Secret, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pulumi.runtime.proto import engine_pb2

TOKEN = "test:index:Thing"
URN = f"urn:pulumi:stack::project::{TOKEN}::thing"
RESOURCE: dict[str, Any] = {"urn": URN, "name": "thing", "type": TOKEN}
SECONDS = 30


class Thing(Resource[str]):
    """Does what its input `does` says, and remembers how it ended."""

    token = TOKEN
    inputs: ClassVar[Fields] = {"does": Field(), "password": Field(secret=True), "size": Field("integer", default=1)}
    computed = frozenset({"owner"})
    secret_outputs = frozenset({"owner"})

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def create(self, call: Call[str], inputs: dict[str, Any]) -> Created:
        self.entered.set()
        try:
            match inputs.get("does"):
                case "refuse":
                    raise ProviderError("no room")
                case "break":
                    raise KeyError("a bug")
                case "half":
                    raise PartiallyDone("7", {"size": 1, "owner": call.config}, "not ready yet")
                case "sleep":
                    await call.sleep(600)
                case "wait a moment":
                    await call.wait(asyncio.sleep(600), 0.01)
                case "ignore Cancel":
                    await asyncio.sleep(600)
                case "log":
                    await call.log("WARNING", "kept")
                    await call.status("fleeting")
        finally:
            self.left.set()
        return Created("7", {**inputs, "owner": call.config})

    async def read(self, call: Call[str], id_: str, old: State | None) -> Found | None:  # noqa: ARG002 (its protocol)
        return None if id_ == "gone" else Found(id_, State({"size": 2}, {"size": 2, "owner": call.config}))


class World:
    """A running server and its resource."""

    def __init__(self, port: int, thing: Thing) -> None:
        self.port = port
        self.thing = thing

    def connect(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)])

    @asynccontextmanager
    async def provider(
        self, token: str, engine: str = ""
    ) -> AsyncIterator[provider_pb2_grpc.ResourceProviderAsyncStub]:
        """A connection as an engine has it, configured."""
        async with self.connect() as channel:
            stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
            await stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address=engine))
            await stub.Configure(provider_pb2.ConfigureRequest(args=encode({"token": Secret(token)})))
            yield stub


def configure(values: Any) -> str:
    if values["token"] == "bad":
        raise ProviderError("the token is refused")
    return str(values["token"])


def story(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """A test with a server of its own."""

    def tell() -> None:
        async def play() -> None:
            thing = Thing()
            servers, attach = await serve([Package("test", "1.2.3", (thing,), configure)])
            try:
                await asyncio.wait_for(test(World(int(attach.removeprefix("test:")), thing)), SECONDS)
            finally:
                await asyncio.gather(*(server.stop(None) for server in servers))

        asyncio.run(play())

    return tell


def creation(**inputs: Any) -> provider_pb2.CreateRequest:
    return provider_pb2.CreateRequest(properties=encode(inputs), **RESOURCE)


async def failure(work: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await work
    return raised.value


@story
async def test_each_connection_has_its_own_configuration(world: World) -> None:
    async with world.provider("one") as first, world.provider("two") as second:
        for stub, token in ((first, "one"), (second, "two"), (first, "one")):
            created = await stub.Create(creation(size=3))
            assert created.id == "7"
            assert decode(created.properties) == {"size": 3, "owner": Secret(token)}


@story
async def test_a_connection_that_was_never_configured_is_told_to_run_again(world: World) -> None:
    async with world.connect() as channel:
        stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        assert "run it again" in str((await failure(stub.Create(creation()))).details())


@story
async def test_a_configuration_that_cannot_be_used_is_refused(world: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="the token is refused"):
        async with world.provider("bad"):
            pass


@story
async def test_an_operation_ends_with_its_client(world: World) -> None:
    async with world.provider("one") as stub:
        running = asyncio.ensure_future(stub.Create(creation(does="ignore Cancel")))
        await world.thing.entered.wait()
    await world.thing.left.wait()
    with pytest.raises(asyncio.CancelledError):  # grpc's own, for a call whose channel was closed
        await running


@story
async def test_cancel_stops_waits_of_its_connection_only(world: World) -> None:
    async with world.provider("one") as first, world.provider("two") as second:
        stopped = asyncio.ensure_future(first.Create(creation(does="sleep")))
        await world.thing.entered.wait()
        world.thing.entered.clear()
        going_on = asyncio.ensure_future(second.Create(creation(does="sleep")))
        await world.thing.entered.wait()
        await first.Cancel(Empty())
        assert (await failure(stopped)).details() == "context canceled"
        assert not going_on.done()
        going_on.cancel()


@story
async def test_failures_are_told_as_what_they_are(world: World) -> None:
    async with world.provider("one") as stub:
        assert (await failure(stub.Create(creation(does="refuse")))).details() == "no room"
        late = await failure(stub.Create(creation(does="wait a moment")))
        assert (late.code(), late.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
        error = await failure(stub.Create(creation(does="break")))
        assert error.code() == grpc.StatusCode.INTERNAL
        assert "KeyError('a bug')" in str(error.details())
        unknown = {**RESOURCE, "type": "test:index:Other"}
        error = await failure(stub.Create(provider_pb2.CreateRequest(**unknown)))
        assert "has no resource test:index:Other" in str(error.details())
        error = await failure(stub.Invoke(provider_pb2.InvokeRequest(tok="test:index:get")))
        assert "has no function test:index:get" in str(error.details())


@story
async def test_what_is_half_done_is_kept(world: World) -> None:
    async with world.provider("one") as stub:
        error = await failure(stub.Create(creation(does="half")))
        metadata: Any = error.trailing_metadata()
        [details] = [value for name, value in metadata if name == "grpc-status-details-bin"]
        [detail] = status_pb2.Status.FromString(details).details
        found = provider_pb2.ErrorResourceInitFailed()
        assert AnyMessage(type_url=detail.type_url, value=detail.value).Unpack(found)
        assert (found.id, list(found.reasons)) == ("7", ["not ready yet"])
        assert decode(found.properties) == {"size": 1, "owner": Secret("one")}


@story
async def test_inputs_are_checked_and_outputs_foretold(world: World) -> None:
    async with world.provider("one") as stub:
        checked = await stub.Check(provider_pb2.CheckRequest(news=encode({"password": "p"}), **RESOURCE))
        assert decode(checked.inputs) == {"password": Secret("p"), "size": 1}
        wrong = await stub.Check(provider_pb2.CheckRequest(news=encode({"size": "x", "colour": 1}), **RESOURCE))
        assert sorted(failure.property for failure in wrong.failures) == ["colour", "size"]
        request = creation(size=3)
        request.preview = True
        foretold = decode((await stub.Create(request)).properties)
        assert sorted(foretold) == ["owner", "size"]
        assert (foretold["size"], foretold["owner"]) == (3, UNKNOWN)
        assert not world.thing.entered.is_set()


@story
async def test_what_is_gone_has_no_id(world: World) -> None:
    async with world.provider("one") as stub:
        assert (await stub.Read(provider_pb2.ReadRequest(id="gone", **RESOURCE))).id == ""
        found = await stub.Read(provider_pb2.ReadRequest(id="9", inputs=encode({"size": 1}), **RESOURCE))
        assert (found.id, decode(found.inputs)) == ("9", {"size": 2})


@story
async def test_an_update_that_is_not_there_is_refused(world: World) -> None:
    async with world.provider("one") as stub:
        error = await failure(stub.Update(provider_pb2.UpdateRequest(id="7", **RESOURCE)))
        assert error.details() == f"{TOKEN} cannot be updated in place"


@story
async def test_a_provider_tells_its_changes_and_is_never_replaced(world: World) -> None:
    async with world.provider("one") as stub:
        old, new = encode({"token": "a", "same": "b"}), encode({"token": "c", "same": "b"})
        diff = await stub.DiffConfig(provider_pb2.DiffRequest(old_inputs=old, news=new))
        assert (list(diff.diffs), list(diff.replaces)) == (["token"], [])


@story
async def test_log_lines_go_to_the_engine(world: World) -> None:
    class Engine(engine_pb2_grpc.EngineServicer):
        def __init__(self) -> None:
            self.lines: list[tuple[int, str, bool, str]] = []

        async def Log(self, request: engine_pb2.LogRequest, context: object) -> Empty:  # noqa: N802 -- the protocol's
            del context
            self.lines.append((request.severity, request.message, request.ephemeral, request.urn))
            return Empty()

    engine = Engine()
    server = grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with world.provider("one", f"127.0.0.1:{port}") as stub:
        await stub.Create(creation(does="log"))
    await server.stop(None)
    assert engine.lines == [(2, "kept", False, URN), (1, "fleeting", True, URN)]

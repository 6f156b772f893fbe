"""Stand-in for `pulumi-language-python`, the program by which the engine runs programs in Python.

The CLI's Go module does not bring it. It speaks Pulumi's language protocol (`language.proto` of Pulumi's SDK) and
leaves the program itself to `language_exec.py`, in the interpreter of the project's virtual environment. The engine
starts it with its own address; the first line on stdout is the port it serves, everything after that, the program's
output included, is the update's.

Run as a script, by path: nothing of this project is imported, so that it serves any project.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_EXEC = Path(__file__).with_name("language_exec.py")
SAID_ALREADY = 32
"""The program's exit status when it has told the engine what went wrong."""
_SECONDS_TO_STOP = 5
_PARENT_POLL_SECONDS = 1

Context = grpc.aio.ServicerContext[Any, Any]


class LanguageError(Exception):
    """The program cannot be run; a person reads the text."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine asks of a language."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._programs: set[asyncio.subprocess.Process] = set()

    async def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: Context
    ) -> language_pb2.LanguageHandshakeResponse:
        """The engine's address, where it is not on the command line."""
        del context
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version of the SDK that it belongs to."""
        del request, context
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    async def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: Context
    ) -> language_pb2.GetRequiredPackagesResponse:
        """None: the engine installs no plugin beforehand, it takes those that are there or attached."""
        del request, context
        return language_pb2.GetRequiredPackagesResponse()

    async def Run(self, request: language_pb2.RunRequest, context: Context) -> language_pb2.RunResponse:
        """Runs the program to its end; what it prints goes to the engine by the inherited stdout and stderr."""
        async with _errors_sent(context):
            python = interpreter(request.info)
            process = await asyncio.create_subprocess_exec(
                python,
                str(_EXEC),
                *self._arguments(request),
                env=_environment(request),
                stdin=asyncio.subprocess.DEVNULL,
            )
        self._programs.add(process)
        try:
            status = await process.wait()
        except asyncio.CancelledError:  # the engine is gone, or does not want the answer any more
            await _stop(process)
            raise
        finally:
            self._programs.discard(process)
        if status == SAID_ALREADY:
            return language_pb2.RunResponse(bail=True)
        if status:
            return language_pb2.RunResponse(error=f"program exited with non-zero exit code: {status}")
        return language_pb2.RunResponse()

    async def Cancel(self, request: Empty, context: Context) -> Empty:
        """Interrupts the program."""
        del request, context
        await self.stop()
        return Empty()

    async def stop(self) -> None:
        """Interrupt the programs that run."""
        await asyncio.gather(*(_stop(process) for process in self._programs))

    async def About(self, request: language_pb2.AboutRequest, context: Context) -> language_pb2.AboutResponse:
        """The language's lines of `pulumi about`."""
        async with _errors_sent(context):
            python = interpreter(request.info)
            version = (await _output(python, "-c", "import platform; print(platform.python_version())")).strip()
        return language_pb2.AboutResponse(
            executable=python, version=version, metadata={"host": "the sandbox's stand-in, not the official one"}
        )

    async def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: Context
    ) -> language_pb2.GetProgramDependenciesResponse:
        """The packages of the program's environment, for `pulumi about`."""
        async with _errors_sent(context):
            arguments = ["-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
            if not request.transitiveDependencies:
                arguments.append("--not-required")
            packages = json.loads(await _output(interpreter(request.info), *arguments))
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package["name"], version=package["version"]) for package in packages
            ]
        )

    def _arguments(self, request: language_pb2.RunRequest) -> list[str]:
        return [
            json.dumps(
                {
                    "monitor": request.monitor_address,
                    "engine": self._engine,
                    "project": request.project,
                    "stack": request.stack,
                    "organization": request.organization,
                    "root_directory": request.info.root_directory,
                    "dry_run": request.dryRun,
                    "parallel": request.parallel,
                }
            ),
            request.pwd,
            request.info.entry_point,
            *request.args,
        ]


def interpreter(info: language_pb2.ProgramInfo) -> str:
    """The Python of the environment that Pulumi.yaml names, else the first on PATH.

    Raises:
        LanguageError: There is none, or Pulumi.yaml wants another tool than pip.
    """
    options = dict(info.options.items())
    toolchain = options.get("toolchain", "pip")
    if toolchain != "pip":
        raise LanguageError(f"the stand-in Python language host knows the toolchain pip only, not {toolchain}")
    if "virtualenv" not in options:
        python = shutil.which("python3")
        if python is None:
            raise LanguageError("there is no python3 on PATH")
        return python
    path = Path(info.root_directory, str(options["virtualenv"]), "bin", "python")
    if not path.exists():
        raise LanguageError(f"the virtual environment of Pulumi.yaml is missing: there is no {path}")
    return str(path)


def _environment(request: language_pb2.RunRequest) -> dict[str, str]:
    # The SDK reads the stack's configuration, secrets included, from here.
    return {
        **os.environ,
        "PULUMI_CONFIG": json.dumps(dict(request.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
    }


async def _output(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise LanguageError(f"{' '.join(argv)}: {errors.decode(errors='replace').strip()}")
    return output.decode()


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _SECONDS_TO_STOP)
        except TimeoutError:
            process.kill()


@contextlib.asynccontextmanager
async def _errors_sent(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except LanguageError as error:
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))


async def _serve(engine: str) -> None:
    host = LanguageHost(engine)
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await _end()
    await host.stop()
    await server.stop(grace=None)


async def _end() -> None:
    """Returns when the engine interrupts its plugins, as it ends; or is gone, for a killed one cannot."""
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    parent = os.getppid()
    while os.getppid() == parent and not interrupted.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(interrupted.wait(), _PARENT_POLL_SECONDS)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1] if len(sys.argv) > 1 else ""))

"""Runs one program in Python for the stand-in language host; its arguments are the host's `_arguments`.

Run by the interpreter of the program's environment, by path: it uses nothing but the standard library and `pulumi`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SAID_ALREADY = 32
_INTERRUPTED = 130
_THREADS_PER_OPERATION = 4

try:
    import pulumi
    from pulumi import runtime
except ImportError:
    print(f"Pulumi's SDK is not installed in the program's environment ({sys.prefix}).", file=sys.stderr)
    sys.exit(1)


def main(settings: str, folder: str, program: str, *arguments: str) -> int:
    """Run the program as Pulumi's and return the status to exit with."""
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    options = json.loads(settings)
    runtime.configure(runtime.Settings(**options))
    # As if the program had been started by itself: its folder is where it runs and where it imports from.
    os.chdir(folder)
    sys.argv = [program, *arguments]
    sys.path.pop(0)
    target = Path(program).resolve()
    if target.is_dir() and not (target / "__main__.py").exists():
        pulumi.log.error(f"there is no program: {target / '__main__.py'} does not exist")
        return SAID_ALREADY
    # A failing update leaves futures unawaited; asyncio would complain of each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=_THREADS_PER_OPERATION * max(options["parallel"], 1))
    loop.set_default_executor(executor)

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except KeyboardInterrupt:
        # Threads may wait for an engine that does not answer any more: nothing waits for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- whatever the program raises
        pulumi.log.error(f"Program failed with an unhandled exception:\n{_traceback(error, target)}")
        return SAID_ALREADY
    finally:
        executor.shutdown()
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _traceback(error: Exception, target: Path) -> str:
    """The traceback from the program's first line on."""
    start = target / "__main__.py" if target.is_dir() else target
    frames = traceback.extract_tb(error.__traceback__)
    own = [index for index, frame in enumerate(frames) if Path(frame.filename).absolute() == start]
    limit = own[0] - len(frames) if own else None
    return "".join(traceback.format_exception(error, limit=limit))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

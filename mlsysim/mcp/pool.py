"""Processes that run tools for the server: few, kept between calls, ended when a call takes too long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mlsysim.core.errors import MlsysimError
from mlsysim.core.said import error_document, error_text
from mlsysim.mcp.limits import CallLimitError, Limits
from mlsysim.mcp.worker import HEAD

Json = dict[str, Any]
START = 120  # s, for a process to be there on a busy machine


class WorkerDiedError(MlsysimError):
    """The process of a call ended without an answer."""

    code = "call_died"


class Worker:
    """One process, which answers one call at a time."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._calls = process.stdin
        self._answers = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls, limits: Limits) -> Worker:
        """Start a process."""
        import formulations
        import mlsysim

        # found where this process found them, and never in the folder that the server was started in
        homes = [str(Path(module.__path__[0]).parent) for module in (mlsysim, formulations)]
        here = str(Path.cwd())
        paths = [p for p in sys.path if Path(p).is_absolute() and p != here]
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", "mlsysim.mcp.worker", json.dumps(asdict(limits))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(homes + paths))},
            start_new_session=True,  # ended with the solver's process that it may have started
        )
        worker = cls(process)
        try:
            with anyio.fail_after(START):
                await worker._answer()
        except BaseException as error:
            await worker.end()
            if isinstance(error, TimeoutError | OSError | anyio.IncompleteRead):
                raise WorkerDiedError("the process for calls does not start", where="mcp") from error
            raise
        return worker

    async def ask(self, tool: str, arguments: Json) -> Json:
        """Send a call and return its answer.

        Raises:
            WorkerDiedError: the process ended.
        """
        body = json.dumps({"tool": tool, "arguments": arguments}).encode()
        try:
            await self._calls.send(HEAD.pack(len(body)) + body)
            return await self._answer()
        except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise WorkerDiedError(
                "the process of this call ended, perhaps for want of memory",
                where=tool,
                hint="ask for less, or run the command line",
            ) from error

    async def _answer(self) -> Json:
        """Return the next message of the process, which bounds what it sends."""
        (size,) = HEAD.unpack(await self._answers.receive_exactly(HEAD.size))
        found: Json = json.loads(await self._answers.receive_exactly(size))
        return found

    async def end(self) -> None:
        """End the process and those that it started, whatever they are doing."""
        self.kill()
        with anyio.CancelScope(shield=True):
            await self._process.aclose()

    def kill(self) -> None:
        """Have the system end the processes."""
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


class Pool:
    """The processes of a server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._turns = anyio.CapacityLimiter(limits.workers)

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in [*self._idle, *self._busy]:
            await worker.end()

    async def call(self, tool: str, arguments: Json) -> Json:
        """Run a tool in a process of its own, within the limits; ended with it if the caller gives up."""
        try:
            if self._turns.statistics().tasks_waiting >= self.limits.waiting:
                raise CallLimitError(
                    f"{self.limits.waiting} calls are waiting already", where=tool, hint="call again later"
                )
            async with self._turns:
                return await self._run(tool, arguments)
        except MlsysimError as error:
            return {"document": error_document(error), "error": error_text(error)}

    async def _run(self, tool: str, arguments: Json) -> Json:
        worker = self._idle.pop() if self._idle else await Worker.start(self.limits)
        self._busy.add(worker)
        try:
            with anyio.fail_after(self.limits.wall_clock):
                answer = await worker.ask(tool, arguments)
        except BaseException as error:
            self._busy.discard(worker)
            await worker.end()
            if isinstance(error, TimeoutError):
                raise CallLimitError(
                    f"stopped after {self.limits.wall_clock:g} s",
                    where=tool,
                    hint="give the solver a smaller time_limit, or run the command line",
                ) from error
            raise
        self._busy.discard(worker)
        self._idle.append(worker)
        return answer

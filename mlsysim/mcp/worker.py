"""The process that runs tools: one call after the other, each a length and JSON on stdin and stdout."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from typing import IO, Any

from mlsysim.core.errors import MlsysimError
from mlsysim.core.said import error_document, error_text, finite
from mlsysim.mcp.limits import CallLimitError, Limits

HEAD = struct.Struct(">Q")
Json = dict[str, Any]


def answered(name: str, given: Json, limits: Limits) -> Json:
    """Return what a call comes to: its document, and the message where it is of an error."""
    from mlsysim.mcp.tools import table

    try:
        document = finite(table(limits)[name].call(dict(given)))
        size = len(json.dumps(document))
        if size > limits.result:
            raise CallLimitError(
                f"the result has {size:,} bytes",
                where=name,
                hint=f"at most {limits.result:,} are sent: ask for less, or run the command line",
            )
    except MlsysimError as error:
        return {"document": error_document(error), "error": error_text(error)}
    except MemoryError:
        short = CallLimitError("the call takes more memory than it may", where=name, hint="ask for less")
        return {"document": error_document(short), "error": error_text(short)}
    except Exception as error:  # the agent is told, the process goes on
        defect = MlsysimError(
            f"internal error: {type(error).__name__}: {error}",
            hint="this is a defect of mlsysim, please report it",
        )
        return {"document": error_document(defect), "error": error_text(defect)}
    return {"document": document, "error": None}


def send(pipe: IO[bytes], message: Json) -> None:
    """Write one message."""
    body = json.dumps(message).encode()
    pipe.write(HEAD.pack(len(body)) + body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Json | None:
    """Read one message; None at the end."""
    head = pipe.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    found: Json = json.loads(pipe.read(HEAD.unpack(head)[0]))
    return found


def main() -> None:
    """Answer calls until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # whatever prints must not print into the answers
    os.chdir(os.sep)
    limits = Limits(**json.loads(sys.argv[1]))
    _warm()
    from mlsysim.mcp import jail

    jail.close(limits.memory)
    send(answers, {"ready": True})
    while (call := receive(calls)) is not None:
        send(answers, answered(call["tool"], call["arguments"], limits))


def _warm() -> None:
    """Import what most calls need, before there is one."""
    import numpy as np  # noqa: F401

    from mlsysim.core import api, plan  # noqa: F401
    from mlsysim.mcp import tools  # noqa: F401


if __name__ == "__main__":
    main()

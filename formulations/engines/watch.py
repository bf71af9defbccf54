"""Between an engine that runs and the person who waits: progress goes out, Ctrl-C comes in."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from formulations.engines.base import Options

# How often a waiting main thread looks up, so that Ctrl-C is heard on every system [s].
BEAT = 0.1


@contextmanager
def heard(options: Options) -> Iterator[None]:
    """Take Ctrl-C as a wish for what there is, wherever the program is; the second one ends it.

    Only in the main thread, where signals arrive, and where nobody else listens for them.
    """
    alone = threading.current_thread() is threading.main_thread()
    if not alone or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def on_interrupt(*_: object) -> None:
        if options.interrupted.is_set():
            raise KeyboardInterrupt
        options.interrupted.set()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Watch:
    """Runs a solver in a thread of its own, so that Ctrl-C stops the search and not the program."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._last: tuple[float | None, float | None] = (None, None)
        self._error: Exception | None = None
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether the engine should stop; its callbacks and batches look at it."""
        return self._stopped or self._options.interrupted.is_set()

    def tell(self, objective: float | None, bound: float | None) -> None:
        """Pass on an objective and a bound, if either is news; called from any thread.

        An error of the listener stops the engine and comes out of :meth:`run`. It must not run
        through the solver's own code, which is no Python.
        """
        if self._options.progress is None or self.stopped or (objective, bound) == self._last:
            return
        self._last = (objective, bound)
        try:
            self._options.progress(objective, bound)
        except KeyboardInterrupt:
            self.interrupt()
        except Exception as error:
            self._error = error
            self._stopped = True

    def interrupt(self) -> None:
        """Note that the person wants what there is: this engine and all later ones stop."""
        self._options.interrupted.set()

    def asked(self, event: Any) -> None:
        """Answer HiGHS, which asks at every point where it can stop whether it should."""
        if self.stopped:
            event.data_in.user_interrupt = True

    def run(self, work: Callable[[], Any], stop: Callable[[], None] = lambda: None) -> None:
        """Run ``work``, whose results are its own to keep, and wait for it.

        Args:
            work: started in another thread, in this one's context.
            stop: called at every beat once the engine should stop, for engines that are told rather
                than ask. A second Ctrl-C is for the program: it does not wait for an engine that
                does not stop.

        Raises:
            Exception: what ``work`` or the listener raised.
        """
        failed: list[BaseException] = []
        # an event, since a thread whose join was interrupted calls itself dead
        done = threading.Event()

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # raised again below, in the thread that waits
                failed.append(error)
            finally:
                done.set()

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(guarded,), daemon=True).start()
        finished = False
        while not finished:
            try:
                finished = done.wait(BEAT)
            except KeyboardInterrupt:
                if self.stopped:
                    raise
                self.interrupt()
            if self.stopped and not finished:
                stop()
        for error in (self._error, *failed):
            if error is not None:
                raise error

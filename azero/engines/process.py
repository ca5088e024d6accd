"""A program that is spoken to in lines over its pipes, and what it did wrong."""

import collections
import contextlib
import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Sequence

LONGEST_LINE = 2**20  # bytes; whoever sends more without a line's end does not speak in lines
FAREWELL = 1.0  # seconds that a program gets to leave by itself
CHUNK = 2**16


class EngineError(Exception):
    """What an engine did wrong, as a phrase that its name can stand before: "crashed (exit code 1)"."""


class Process:
    """A running program. It ends with this object, and with azero.

    It lives in a session of its own, so that Ctrl-C in the terminal is azero's alone to answer. What it writes on
    stderr is read along with its lines and all but the last line is dropped, so the pipe does not fill up.
    """

    def __init__(self, words: Sequence[str]):
        """Starts the program; EngineError where it cannot be started."""
        pipe = subprocess.PIPE
        try:
            self._popen = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
            )
        except OSError as error:
            raise EngineError(f"cannot be started: {error.strerror}") from None
        self._end = weakref.finalize(self, _end, self._popen)
        self._stdin, self._stdout, self._stderr = (
            stream.fileno() for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr) if stream
        )
        os.set_blocking(self._stdin, False)  # a program that reads nothing must not hold us
        self._poll = select.poll()
        for stream in (self._stdout, self._stderr):
            self._poll.register(stream, select.POLLIN)
        self._lines: collections.deque[str] = collections.deque()
        self._begun = b""  # a line of which the end has not come yet
        self._complaint = b""  # the end of stderr

    def write(self, line: str) -> None:
        """Sends a line; EngineError where the program has ended or does not read."""
        text = f"{line}\n".encode()
        try:
            sent = os.write(self._stdin, text)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise self._ended() from None
        if sent < len(text):
            raise EngineError("does not read what it is told")

    def line(self, deadline: float) -> str:
        """The next line from the program, without its end.

        Args:
          deadline: in the time of `time.monotonic`.

        Raises:
          EngineError: the program has ended, or sends no line.
          TimeoutError: the deadline is over.
        """
        while not self._lines:
            self._read(deadline)
        if time.monotonic() > deadline:
            raise TimeoutError
        return self._lines.popleft()

    def kill(self) -> None:
        """Kills the program. Another thread may be waiting for a line; it learns that the program has ended."""
        _kill(self._popen)

    def end(self) -> None:
        """Asks the program to leave, kills it where it does not, and lets go of its pipes."""
        self._end()

    def _read(self, deadline: float) -> None:
        """Takes in what comes next on stdout or stderr."""
        ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError
        for stream, _ in ready:
            found = os.read(stream, CHUNK)
            if stream == self._stderr:
                self._complaint = (self._complaint + found)[-CHUNK:]
                if not found:
                    self._poll.unregister(stream)
            elif not found:
                raise self._ended()
            else:
                *lines, self._begun = (self._begun + found).split(b"\n")
                self._lines.extend(line.decode(errors="replace").rstrip("\r") for line in lines)
        if len(self._begun) > LONGEST_LINE:
            raise EngineError("sent a line without an end")

    def _ended(self) -> EngineError:
        """How the program ended: its exit code, and the last thing it said on stderr."""
        try:
            code = self._popen.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            return EngineError("closed its output")
        os.set_blocking(self._stderr, False)
        with contextlib.suppress(BlockingIOError):
            while found := os.read(self._stderr, CHUNK):
                self._complaint = (self._complaint + found)[-CHUNK:]
        said = self._complaint.decode(errors="replace").strip().splitlines()
        how = f"exit code {code}" if code >= 0 else signal.strsignal(-code)
        return EngineError(f"{'crashed' if code else 'ended'} ({how})" + (f": {said[-1].strip()}" if said else ""))


def _kill(popen: subprocess.Popen[bytes]) -> None:
    """Kills a program with those that it has started."""
    if popen.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)


def _end(popen: subprocess.Popen[bytes]) -> None:
    streams = [stream for stream in (popen.stdin, popen.stdout, popen.stderr) if stream]
    if popen.poll() is None:
        with contextlib.suppress(OSError):
            os.write(streams[0].fileno(), b"quit\n")
        with contextlib.suppress(OSError):
            streams[0].close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(FAREWELL)
    _kill(popen)
    popen.wait()
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.close()

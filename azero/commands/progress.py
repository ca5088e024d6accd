"""How far a match is, on stderr."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def shown(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, called with the games that have ended and their number; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""How an engine is started for a game, with the options of its text."""

import math
from collections.abc import Callable

from azero.engines.dialects import Dialect
from azero.engines.gtp import GtpEngine
from azero.engines.pool import Engine
from azero.engines.program import Program, split_options
from azero.engines.uci import Limits, UciEngine
from azero.options import read_value

VARIANT = "UCI_Variant"


def starter(program: Program, dialect: Dialect) -> Callable[[Callable[[Engine], None]], Engine]:
    """What starts a process of an engine.

    Returns:
      (told of the engine as soon as it can be killed) -> the engine, ready for its first game. It raises EngineError
      where that does not work, and ValueError where an UCI engine has no such option or does not play the game.

    Raises:
      ValueError: an option of a GTP engine is wrong.
    """
    return (_gtp if program.kind == "gtp" else _uci)(program, dialect)


def _gtp(program: Program, dialect: Dialect) -> Callable[[Callable[[Engine], None]], Engine]:
    options = split_options(program, ("seconds",))
    seconds = _above_zero(program.text, "seconds", options.get("seconds", "1"), float)
    return lambda begun: GtpEngine(program.words, dialect.setup, seconds, begun)


def _uci(program: Program, dialect: Dialect) -> Callable[[Callable[[Engine], None]], Engine]:
    (variant,) = dialect.setup

    def start(begun: Callable[[Engine], None]) -> UciEngine:
        engine = UciEngine(program.words, begun)
        try:
            engine.set(_own_options(program, engine) | _variant(program, engine, variant), _limits(program, engine))
        except BaseException:
            engine.kill()
            engine.end()
            raise
        return engine

    return start


def _own_options(program: Program, engine: UciEngine) -> dict[str, str]:
    """The options of the text that the engine has announced; ValueError where one is not to be had."""
    options = split_options(program, (*Limits._fields, *engine.announced))
    own = {name: value for name, value in options.items() if name not in Limits._fields}
    for name, value in own.items():
        fault = engine.announced[name].fault(value)
        if fault:
            raise ValueError(f"{program.text}: {name} must be {fault}, not {value!r}")
    return own


def _limits(program: Program, engine: UciEngine) -> Limits:
    options = split_options(program, (*Limits._fields, *engine.announced))
    seconds = _above_zero(program.text, "seconds", options.get("seconds", "1"), float)
    nodes, depth = (
        int(_above_zero(program.text, name, options[name], int)) if name in options else None
        for name in ("nodes", "depth")
    )
    return Limits(seconds, nodes, depth)


def _variant(program: Program, engine: UciEngine, variant: str) -> dict[str, str]:
    """The option that says which game is played; an engine that announces none plays chess."""
    played = engine.announced[VARIANT].choices if VARIANT in engine.announced else ("chess",)
    if variant not in played:
        raise ValueError(f"{program.text}: it does not announce {VARIANT} {variant}; fairy-stockfish does")
    return {VARIANT: variant} if VARIANT in engine.announced else {}


def _above_zero(text: str, name: str, value: str, kind: type) -> float:
    number: float = read_value(text, name, value, kind)
    if not 0 < number < math.inf:
        raise ValueError(f"{text}: {name} must be above 0, not {value}")
    return number

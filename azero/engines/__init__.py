"""Programs of others as players, by the protocols that they speak: GTP and UCI."""

from azero.engines.playing import engine_playing
from azero.engines.program import PROTOCOLS, Program, names_program, read_program

__all__ = ["PROTOCOLS", "Program", "engine_playing", "names_program", "read_program"]

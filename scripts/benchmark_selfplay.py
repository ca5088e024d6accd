#!/usr/bin/env python
"""Self-play of presets beside the same on mctx and beside the loop of pgx's AlphaZero example.

    python scripts/benchmark_selfplay.py --presets tic_tac_toe connect_four
    python scripts/benchmark_selfplay.py --presets connect_four --sides azero --simulations 8 16 32 64    how cost grows

The same as `azero bench selfplay`; --help shows all arguments.
"""

import sys

from azero.cli import main

sys.exit(main(["bench", "selfplay", *sys.argv[1:]]))

#!/usr/bin/env python
"""Strength against wall time for a preset, several seeds.

    python scripts/benchmark_learning.py connect_four_4x4 --minutes 5 --every 30 --seeds 3

The same as `azero bench learning`; --help shows all arguments.
"""

import sys

from azero.cli import main

sys.exit(main(["bench", "learning", *sys.argv[1:]]))

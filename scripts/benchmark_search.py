#!/usr/bin/env python
"""The target table of the search: azero's own search beside mctx's, part by part.

    python scripts/benchmark_search.py --game connect_four othello go_9x9 --batch 512 512 128 --part tree

The same as `azero bench search`; --help shows all arguments.
"""

import sys

from azero.cli import main

sys.exit(main(["bench", "search", *sys.argv[1:]]))

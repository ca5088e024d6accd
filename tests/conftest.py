"""Four devices of the host and the persistent compile cache, set before JAX starts; small runs that tests share."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from azero.startup import start_jax

start_jax(devices=4)

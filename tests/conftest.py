"""Four devices of the host and the persistent compile cache, set before JAX starts."""

import os
from pathlib import Path

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402  the flags above only count before this import

cache = Path(os.environ.get("AZERO_CACHE", Path.home() / ".cache" / "azero"))
jax.config.update("jax_compilation_cache_dir", str(cache / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

"""What JAX is told before its first use, for every command."""

import contextlib
import logging
import os
import warnings


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_jax(devices: int = 1) -> None:
    """Turns on the compile cache in the user's cache folder, and splits a CPU into `devices` devices.

    What the user has set in JAX's own environment variables stays. Call it before the first computation; later
    calls change nothing.
    """
    if devices > 1:
        _split_cpu(devices)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's notes on programs that it reads from its cache
    import jax

    from games.oracles.tables import cache_folder

    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    # A cache that cannot be read or written costs time, and is no news to the user.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache.*")
    logging.getLogger("jax._src.compilation_cache").setLevel(logging.ERROR)


def _split_cpu(devices: int) -> None:
    """One XLA device for each core; accelerators are not touched by these settings.

    An operation then stays on its device's own thread, and the operations of a program come one after the other, which
    is faster than spreading them over threads that the other devices work on. XLA spreads large products all the same,
    over its whole pool. The pool must hold two threads for each device: while one waits in a sum for the last it may
    hold the thread that waits for its program and the one that the program has come to, and the last needs two for its
    product. With fewer they come to wait for each other for ever ("rendezvous ... may be stuck"). Threads of the batch
    policy do not push others off their core when they wake; without it those that are to spare slow the others down.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    for flag in (
        f"--xla_force_host_platform_device_count={devices}",
        "--xla_cpu_multi_thread_eigen=false",
        "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    ):
        if flag.partition("=")[0] not in flags:
            flags = f"{flags} {flag}".strip()
    os.environ["XLA_FLAGS"] = flags
    pool = os.environ.get("NPROC", "")  # what XLA takes for the size of its pool
    os.environ["NPROC"] = str(max(int(pool) if pool.isdigit() else 0, 2 * devices + 1))
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

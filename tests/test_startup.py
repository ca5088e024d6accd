"""What JAX is told before its first use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from azero import startup

SUM_OF_PRODUCTS = """
import os
os.environ["XLA_FLAGS"] = "--xla_cpu_collective_call_terminate_timeout_seconds=20"
os.environ.pop("NPROC", None)
from azero.startup import start_jax
start_jax(devices=4)
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

mesh = jax.make_mesh((4,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))

def step(x):
    return jax.lax.pmean(jnp.tanh(x.T @ x), "devices")

split, same = PartitionSpec("devices"), PartitionSpec()
step = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=split, out_specs=same, check_vma=False))
x = jax.random.normal(jax.random.key(0), (4 * 1024, 256))
for _ in range(300):
    x = x + 1e-6 * step(x).sum()
print("sum", float(x.sum()))
"""


@pytest.mark.parametrize(("given", "threads"), [(None, 7), ("2", 7), ("40", 40), ("many", 7)])
def test_devices_that_wait_for_each_other_have_two_threads_each(given, threads, monkeypatch):
    """XLA's pool of fewer threads ends in a rendezvous that nobody leaves (docs/log.md, 2026-11-22)."""
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.delenv("NPROC", raising=False)
    if given is not None:
        monkeypatch.setenv("NPROC", given)
    startup.start_jax(devices=3)
    assert os.environ["NPROC"] == str(threads)
    assert "--xla_force_host_platform_device_count=3" in os.environ["XLA_FLAGS"]


def test_four_devices_do_not_wait_for_ever():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", SUM_OF_PRODUCTS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("sum ")


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the batch policy is one of Linux")
def test_a_split_cpu_has_threads_of_the_batch_policy():
    assert os.sched_getscheduler(0) == os.SCHED_BATCH, "tests/conftest.py splits it"

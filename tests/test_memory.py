"""Freed memory is used again by this process, and not where the environment says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from tigon.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
torch.set_num_threads(1)
def work():
    for _ in range(20):
        torch.empty(16 << 20, dtype=torch.uint8).fill_(1)
        torch.empty(48 << 20, dtype=torch.uint8).fill_(1)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how, **environment):
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    kept, count = done.stdout.split()
    return kept == "True", int(count)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator is set")
def test_large_tensors_take_no_new_pages_once_freed_memory_is_kept():
    default, kept = faults("leave"), faults("keep")
    assert kept[0] and not default[0]
    assert kept[1] < 100 < default[1]


def test_settings_in_the_environment_stay():
    assert not faults("keep", MALLOC_TOP_PAD_="65536")[0]

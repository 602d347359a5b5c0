"""Run the numeric tests as other processors would compute them.

    python tests/helpers/other_processors.py [NAME...] [-- PYTEST OPTIONS]

A machine can be told to compute like an older one: each library has a setting for the
instructions that it uses. Without a name, all of SETTINGS that this machine can take have their
turn; ``oldest``, which differs most from every machine of today, is enough for a quick check.
Ends with 0 if the tests pass under each.
"""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

ROOT = Path(__file__).resolve().parents[2]
# numpy refuses the name of what the machine does not have
DISPATCHED = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
WITH_512_BITS = [name for name in DISPATCHED if name == "X86_V4" or name.startswith("AVX512")]
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
SETTINGS = {
    "oldest": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED),
        "TF_ENABLE_ONEDNN_OPTS": "0",  # as TensorFlow decides on such a processor
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        **ONE_THREAD,
    },
    "avx2": {
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": " ".join(WITH_512_BITS),
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "skylakex": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "without-onednn": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "onednn": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "one-thread": ONE_THREAD,
    "two-threads": dict.fromkeys(ONE_THREAD, "2"),
}


def can(name: str) -> bool:
    """Tell whether this machine can compute like that."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "OPENBLAS_CORETYPE" not in SETTINGS[name]
    return name != "skylakex" or bool(WITH_512_BITS)


def main(arguments: list[str]) -> int:
    """Run each setting; return the exit status."""
    names, _, options = " ".join(arguments).partition("--")
    names = names.split() or list(SETTINGS)
    if unknown := set(names) - set(SETTINGS):
        print(f"error: {', '.join(sorted(unknown))} is none of {', '.join(SETTINGS)}.")
        return 2
    failed = []
    for name in names:
        if not can(name):
            print(f"{name:16} this machine cannot")
            continue
        command = [sys.executable, "-m", "pytest", "-m", "numeric", *options.split()]
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | SETTINGS[name], capture_output=True, text=True
        )
        print(f"{name:16} {time.monotonic() - started:4.0f} s  ", end="")
        print(done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr, flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The reader process, `python -m ebt_data.reading.sandbox_main`: requests on stdin, replies on stdout.

A request is a line of JSON with a path and a time limit in s. The process reads each file completely, with limited
memory, and cannot write files. See `sandbox.py`.
"""

import json
import resource
import signal
import sys
import traceback
from pathlib import Path

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.reading.sandbox import BUG, DAMAGED, OVER_LIMIT, READABLE, READY

MEMORY_BYTES = 6 << 30
"""Limit of the address space; h5py and numpy take 1 GiB before anything is read, and an episode's columns up to 4."""


def main() -> None:
    """Reply until the parent closes stdin."""
    memory = _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    sys.stdout.write(READY.decode())
    sys.stdout.flush()
    for line in sys.stdin:
        path: str | None = None
        try:
            path, limit_s = json.loads(line)
            signal.alarm(int(limit_s) + 2)  # ends the child if the parent is gone and HDF5 loops
            reply = _read(Path(path), memory)
            signal.alarm(0)
        except Exception:  # noqa: BLE001  a bug, which the parent raises
            reply = [BUG, traceback.format_exc()]
        sys.stdout.write(json.dumps([path, *reply]) + "\n")
        sys.stdout.flush()


def _limit(resource_id: int, value: int) -> int:
    """Set a resource limit to `value`, or to the hard limit if that is lower; returns it."""
    hard = resource.getrlimit(resource_id)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(resource_id, (limit, limit))
    return limit


def _read(path: Path, memory: int) -> list[str]:
    try:
        with Episode(path) as episode:
            episode.read_through()
    except DataError as error:
        return [DAMAGED, str(error), error.hint]
    except MemoryError:
        if memory < MEMORY_BYTES:
            return [
                OVER_LIMIT,
                f"{path} takes more memory to read than the {memory >> 20} MiB allowed here",
                "ulimit -v",
            ]
        return [OVER_LIMIT, f"{path} is damaged: reading it takes more than {memory >> 30} GiB", ""]
    return [READABLE]


if __name__ == "__main__":
    main()

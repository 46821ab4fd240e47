"""The reading process: `python -m ebt_data.reading.sandbox_main`, a path and seconds a line on stdin, what it found on stdout.

It reads every file through, with bounded memory, and can write none. See `sandbox.py`.
"""

import json
import resource
import signal
import sys
import traceback
from pathlib import Path

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.reading.sandbox import BUG, DAMAGED, FINE, READY, TOO_MUCH

MEMORY_BYTES = 6 << 30
"""Of address space; h5py and numpy take one before anything is read, and an episode's columns up to four."""


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
            signal.alarm(int(limit_s) + 2)  # ends the child where the parent is gone and HDF5 loops
            said = _read(Path(path), memory)
            signal.alarm(0)
        except Exception:  # noqa: BLE001  a bug of ours, which the parent raises
            said = [BUG, traceback.format_exc()]
        sys.stdout.write(json.dumps([path, *said]) + "\n")
        sys.stdout.flush()


def _limit(what: int, most: int) -> int:
    """Set a limit to `most`, or to less where the parent has less; returns it."""
    hard = resource.getrlimit(what)[1]
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (least, least))
    return least


def _read(path: Path, memory: int) -> list[str]:
    try:
        with Episode(path) as episode:
            episode.read_through()
    except DataError as error:
        return [DAMAGED, str(error), error.hint]
    except MemoryError:
        if memory < MEMORY_BYTES:
            return [TOO_MUCH, f"{path} takes more memory to read than the {memory >> 20} MiB allowed here", "ulimit -v"]
        return [TOO_MUCH, f"{path} is damaged: reading it takes more than {memory >> 30} GiB", ""]
    return [FINE]


if __name__ == "__main__":
    main()

"""The reading process: `python -m ebt_data.reading`, a path and seconds a line on stdin, `null` or what is wrong a line on stdout.

It reads every file through, with bounded memory, and can write none. See `guard.py`.
"""

import json
import resource
import signal
import sys
import traceback
from pathlib import Path

from ebt_data.episode import Episode
from ebt_data.errors import DataError
from ebt_data.guard import BUG, READY

MEMORY_BYTES = 6 << 30
"""Of address space; h5py and numpy take one before anything is read, and an episode's columns up to four."""


def main() -> None:
    """Answer until nobody asks any more."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        hard = resource.getrlimit(limit)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (least, least))
    sys.stdout.write(READY.decode())
    sys.stdout.flush()
    for line in sys.stdin:
        try:
            path, limit_s = json.loads(line)
            signal.alarm(int(limit_s) + 2)  # ends it where whoever asked is gone and HDF5 goes round in circles
            answer = _wrong(Path(path))
            signal.alarm(0)
        except Exception:  # noqa: BLE001  a bug of ours, for whoever asked to raise
            answer = (BUG, traceback.format_exc())
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _wrong(path: Path) -> tuple[str, str] | None:
    try:
        with Episode(path) as episode:
            episode.read_through()
    except DataError as error:
        return str(error), error.hint
    except MemoryError:
        return f"{path} is damaged: reading it takes more than {MEMORY_BYTES >> 30} GiB", ""
    return None


if __name__ == "__main__":
    main()

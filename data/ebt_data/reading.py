"""The reading process: `python -m ebt_data.reading`, a path a line on stdin, `null` or what is wrong a line on stdout.

It reads every file through, with bounded memory, and can write none. See `guard.py`.
"""

import json
import resource
import sys
import traceback
from pathlib import Path

from ebt_data.episode import Episode
from ebt_data.errors import DataError
from ebt_data.guard import BUG

MEMORY_BYTES = 6 << 30
"""Of address space; h5py and numpy take one before anything is read, and an episode's columns up to four."""


def main() -> None:
    """Answer until nobody asks any more."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(limit, (most, most))
    for line in sys.stdin:
        try:
            answer = _wrong(Path(json.loads(line)))
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

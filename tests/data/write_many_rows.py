"""A program for a test: writes rows and prints by how many bytes the later ones increased resident memory."""

import os
import sys
from pathlib import Path

from conftest import META, bench_spec, step_of

from ebt_data.recording.writer import EpisodeWriter

SETTLED, ROWS = 500, 5000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(folder: Path) -> None:
    spec = bench_spec()
    step = step_of(0, spec)  # the same image in every row: this measures rows
    writer = EpisodeWriter(folder, spec, META, reserve_bytes=0)
    for _ in range(SETTLED):
        writer.append(step)
    before = resident()
    for _ in range(ROWS):
        writer.append(step)
    sys.stdout.write(str(resident() - before))
    writer.abandon()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

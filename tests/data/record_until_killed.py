"""A program for tests to kill: records rows and prints after each how many are appended and kept."""

import sys
from pathlib import Path

from conftest import META, bench_spec, step_of

from ebt_data.recording.recorder import Recorder


def main(folder: Path) -> None:
    spec = bench_spec()
    steps = [step_of(row, spec) for row in range(300)]
    with Recorder(folder, spec, reserve_bytes=0) as recorder:
        recorder.start(META)
        sys.stdout.write(f"{recorder.writer_pid}\n")
        for step in steps:
            recorder.append(step)
            sys.stdout.write(f"{recorder.appended} {recorder.kept}\n")
            sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The loop with an installed `ebt`, as small as it gets: `python smoke.py PATH/TO/ebt`; run outside the checkout."""

import json
import subprocess
import sys

STEPS = (
    ["--version"],
    ["doctor"],
    ["collect", "-n", "2"],
    ["train", "--time-limit", "0.1"],
    # A policy of six seconds may lean on the table until a motor shuts down; the tests' own knows better.
    ["deploy", "runs/pick_place", "-n", "1"],
    ["inspect", "data/episodes/rollouts", "--json"],
)


def main() -> None:
    """Run every step; a step that fails ends it with its own words."""
    out = ""
    for step in STEPS:
        sys.stdout.write(f"ebt {' '.join(step)}\n")
        sys.stdout.flush()
        done = subprocess.run([sys.argv[1], *step], capture_output=True, text=True, check=False)
        out = done.stdout
        if done.returncode:
            sys.exit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    (episode,) = json.loads(out)["episodes"]
    if not (episode["sim"] and episode["kind"] == "rollout" and episode["rows"] > 0):
        sys.exit(f"not a rollout: {episode}")
    sys.stdout.write("the wheel works\n")


if __name__ == "__main__":
    main()

"""The demo's last stage: `ebt deploy` on its live screen, and a plot of its first rollout."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from ebt_cli.terminal.console import notify
from ebt_data.errors import HardwareError


def roll_out_missing(
    deploy: Callable[..., None], run: Path, bench: str, task: str, seeds: Sequence[int], out: Path, disturb: str
) -> None:
    """Run `deploy` on the seeds that an earlier start did not finish."""
    from ebt_data.reading.episode import Episode, list_episodes
    from ebt_data.step import Outcome
    from ebt_recipes.loop.rollouts import use_one_thread

    recorded = set()
    for path in list_episodes(out) if out.is_dir() else ():
        with Episode(path) as episode:
            judged = episode.complete and episode.outcome is not Outcome.ABORTED
            recorded |= {episode.meta.seed} if judged else set()
    missing = [seed for seed in seeds if seed not in recorded]
    if not missing:
        return
    use_one_thread()
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the demo's own result
            deploy(run, bench, task, len(missing), missing[0], out, disturb=disturb)
    except HardwareError as fault:
        # An under-trained policy may push until a motor of the twin shuts down; the rest of the demo is valid.
        notify(f"the rollout ended in a fault: {fault}", "yellow")


def draw_first(episodes: Path, picture: Path) -> None:
    """Draw the first of these episodes, whole or not at all."""
    from ebt_cli.reports.plot import plot_episode
    from ebt_data.files.commit import sync
    from ebt_data.reading.episode import Episode, list_episodes

    found = list_episodes(episodes)
    if not found:
        notify("not drawn: no rollout was recorded", "yellow")
        return
    draft = picture.with_stem("unfinished")
    try:
        with Episode(found[0]) as episode:
            plot_episode(episode, found[0].name, draft)
        sync(draft)
        draft.replace(picture)
    except OSError as error:  # a full disk, no folder for matplotlib: no reason to withhold the figures
        notify(f"not drawn: {error}", "yellow")
        return
    notify(f"drawn to {picture}")

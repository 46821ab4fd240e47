"""Where plans are made: beside the loop, never in it, so that a decision never waits for one.

Effort(steps: int | None, samples: int)     how hard to think about one plan
Request(observation, seed, effort, previous)  what a planner is asked
Plan(chunk, energy, trace, made_for_s, latency_s, scores, slopes)
LockstepPlanner(compute, latency_s) / ThreadPlanner(compute): Planner
    .submit(request)   newest wins   .newest(now_s) -> Plan | None   .reset()   .close()
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Joints, Observation
from ebt_recipes.objectives.plan_sampler import Effort


@dataclass(frozen=True)
class Plan:
    """A chunk of actions, and how it came about."""

    chunk: NDArray[np.float32]
    """[H, J] rad; row h is for `made_for_s` plus h ticks."""
    energy: float
    trace: tuple[float, ...]
    """Energy before the first and after every descent step."""
    made_for_s: float
    """When the observation behind it was taken."""
    latency_s: float = np.nan
    """How long it took; what the recipe states in lock-step, what was measured live."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """What was asked to be watched, by name in `scores.SCORES`."""
    slopes: int = 0
    """That were computed: one a step, and one where the plan before was looked at."""

    def row(self, now_s: float, rate_hz: float) -> int:
        """Index of the action for `now_s`; beyond the last row, the last."""
        return min(max(round((now_s - self.made_for_s) * rate_hz), 0), len(self.chunk) - 1)

    def action(self, now_s: float, rate_hz: float) -> Joints:
        action: Joints = self.chunk[self.row(now_s, rate_hz)]
        return action


@dataclass(frozen=True)
class Request:
    """What to plan for."""

    observation: Observation
    seed: int
    """Of all noise in this plan, so that a plan does not depend on how many were dropped before it."""
    effort: Effort = field(default_factory=Effort)
    previous: Plan | None = None
    """The plan in use, for the scores that compare."""
    past: NDArray[np.float32] | None = None
    """[P, J] rad, the last actions asked for, oldest first; None where nobody keeps them."""


Compute = Callable[[Request], Plan]


class Planner(Protocol):
    """Turns requests into plans, in its own time."""

    def submit(self, request: Request) -> None:
        """Plan for this as soon as the planner is free; a newer request replaces one that waits."""
        ...

    def newest(self, now_s: float) -> Plan | None:
        """The newest plan that exists at `now_s` on the bench clock, None before the first."""
        ...

    def reset(self) -> None:
        """Forget all plans and requests."""
        ...

    def close(self) -> None: ...


class LockstepPlanner:
    """Computes at once, and withholds the plan until the stated latency has passed in simulated time.

    It is busy meanwhile, as a live planner is: no benchmark measures a policy that thinks for free.
    """

    def __init__(self, compute: Compute, latency_s: Callable[[Effort], float]) -> None:
        self._compute = compute
        self._latency_s = latency_s
        self.reset()

    def reset(self) -> None:
        self._plan: Plan | None = None
        self._waiting: Request | None = None
        self._running: tuple[float, Plan] | None = None

    def submit(self, request: Request) -> None:
        self._advance(request.observation.time_s)
        self._waiting = request
        if self._running is None:
            self._start(request.observation.time_s)

    def newest(self, now_s: float) -> Plan | None:
        self._advance(now_s)
        return self._plan

    def close(self) -> None:
        self.reset()

    def _advance(self, now_s: float) -> None:
        """Hand over what is finished by `now_s`, and begin what waited for it."""
        # Simulated times are sums of periods: without slack a plan due exactly now could be a tick late.
        while self._running is not None and self._running[0] <= now_s + 1e-6:
            free_s, self._plan = self._running
            self._running = None
            if self._waiting is not None:
                self._start(free_s)

    def _start(self, now_s: float) -> None:
        if (request := self._waiting) is None:
            return
        self._waiting = None
        latency_s = self._latency_s(request.effort)
        self._running = (now_s + latency_s, replace(self._compute(request), latency_s=latency_s))


class ThreadPlanner:
    """Computes in a thread beside the loop (torch releases the interpreter while it works), with a mailbox of one."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planner")
        self._future: Future[Plan] | None = None
        self.reset()

    def reset(self) -> None:
        if self._future is not None:
            self._future.cancel()
        self._plan: Plan | None = None
        self._waiting: Request | None = None
        self._future = None

    def submit(self, request: Request) -> None:
        self._waiting = request
        self._advance()

    def newest(self, now_s: float) -> Plan | None:
        self._advance()
        return self._plan

    def close(self) -> None:
        self.reset()
        self._pool.shutdown()

    def _advance(self) -> None:
        if self._future is not None and self._future.done():
            self._plan = self._future.result()  # what failed in the thread is raised here, in the loop
            self._future = None
        if self._future is None and self._waiting is not None:
            self._future = self._pool.submit(self._timed, self._waiting)
            self._waiting = None

    def _timed(self, request: Request) -> Plan:
        begun_s = perf_counter()
        plan = self._compute(request)
        return replace(plan, latency_s=perf_counter() - begun_s)

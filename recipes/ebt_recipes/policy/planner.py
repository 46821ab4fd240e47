"""Planners compute plans outside the control loop, so that a decision never waits for one.

SamplingBudget(steps: int | None, samples: int)    steps and candidates for one plan
Request(observation, seed, budget, previous, past)
Plan(chunk, energy, trace, observed_s, latency_s, scores, gradient_evaluations)
LockstepPlanner(compute, latency_s) / ThreadPlanner(compute): Planner
    .submit(request)   the newest request replaces a waiting one   .newest(now_s) -> Plan | None   .reset()   .close()
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Joints, Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget


@dataclass(frozen=True)
class Plan:
    """A chunk of actions, with its energies and scores."""

    chunk: NDArray[np.float32]
    """[H, J] rad; row h is the goal at `observed_s` plus h ticks."""
    energy: float
    trace: tuple[float, ...]
    """Energy before the first and after every descent step."""
    observed_s: float
    """Time of the observation it was planned for."""
    latency_s: float = np.nan
    """Planning time: in lock-step the recipe's, live as measured."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Monitored scores by their names in `scores.SCORES`."""
    gradient_evaluations: int = 0
    """One per step, and one if the previous plan's gradient was evaluated."""

    def row(self, now_s: float, rate_hz: float) -> int:
        """Index of the action for `now_s`; after the last row, the last."""
        return min(max(round((now_s - self.observed_s) * rate_hz), 0), len(self.chunk) - 1)

    def action(self, now_s: float, rate_hz: float) -> Joints:
        action: Joints = self.chunk[self.row(now_s, rate_hz)]
        return action


@dataclass(frozen=True)
class Request:
    """Input of a planner."""

    observation: Observation
    seed: int
    """Seed of all noise in this plan, so that a plan does not depend on the number of cancelled requests."""
    budget: SamplingBudget = field(default_factory=SamplingBudget)
    previous: Plan | None = None
    """The current plan, for scores and samplers that use it."""
    past: NDArray[np.float32] | None = None
    """[P, J] rad, the last requested actions, oldest first; None if they are not recorded."""


Compute = Callable[[Request], Plan]


class Planner(Protocol):
    """Computes plans for requests, asynchronously."""

    def submit(self, request: Request) -> None:
        """Plan for this as soon as the planner is free; it replaces a waiting request."""
        ...

    def newest(self, now_s: float) -> Plan | None:
        """The newest plan available at `now_s` on the bench clock, None before the first."""
        ...

    def reset(self) -> None:
        """Discard all plans and requests."""
        ...

    def close(self) -> None: ...


class LockstepPlanner:
    """Computes immediately, but returns the plan only after the stated latency in simulated time.

    It is busy meanwhile, as a live planner is, so that benchmarks include the cost of planning.
    """

    def __init__(self, compute: Compute, latency_s: Callable[[SamplingBudget], float]) -> None:
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
        """Publish the plan finished by `now_s`, and start the waiting request."""
        # Simulated times are sums of periods: without a tolerance a plan due exactly now could be a tick late.
        while self._running is not None and self._running[0] <= now_s + 1e-6:
            free_s, self._plan = self._running
            self._running = None
            if self._waiting is not None:
                self._start(free_s)

    def _start(self, now_s: float) -> None:
        if (request := self._waiting) is None:
            return
        self._waiting = None
        latency_s = self._latency_s(request.budget)
        self._running = (now_s + latency_s, replace(self._compute(request), latency_s=latency_s))


class ThreadPlanner:
    """Computes in a background thread (torch releases the GIL meanwhile), with at most one waiting request."""

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
            self._plan = self._future.result()  # an exception in the thread is raised here, in the loop
            self._future = None
        if self._future is None and self._waiting is not None:
            self._future = self._pool.submit(self._timed, self._waiting)
            self._waiting = None

    def _timed(self, request: Request) -> Plan:
        start_s = perf_counter()
        plan = self._compute(request)
        return replace(plan, latency_s=perf_counter() - start_s)

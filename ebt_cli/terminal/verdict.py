"""Is it good, and why: grades, reasons with their figures, and the report that a page or JSON is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text


class Grade(IntEnum):
    """The worst one of a report's reasons is its verdict."""

    GOOD = 0
    DOUBTFUL = 1
    BAD = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Reason:
    """One thing that was looked at."""

    name: str
    """Stable, for programs."""
    grade: Grade
    text: str
    """As text, with the figure."""
    value: float | int | str | None = None
    """What was found."""
    limit: str = ""
    """The required value."""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "grade": self.grade.word,
            "text": self.text,
            "value": self.value,
            "limit": self.limit,
        }


@dataclass(frozen=True)
class Report:
    """The report of `ebt inspect` on one thing."""

    schema: str
    """Of its JSON: `ebt.<schema>/1`."""
    title: str
    reasons: Sequence[Reason]
    rows: "Sequence[tuple[str, str | Text]]"
    """Further facts, most important first: (word, value); a picture comes as `Text`."""
    next: str
    """The command that usually follows, and why."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Everything, with stable names."""

    @property
    def grade(self) -> Grade:
        return max((reason.grade for reason in self.reasons), default=Grade.DOUBTFUL)

    def to_json(self) -> dict[str, Any]:
        told = {"verdict": self.grade.word, "reasons": [reason.to_json() for reason in self.reasons]}
        return told | {"next": self.next} | self.facts


def graded(value: float, doubtful: float, bad: float) -> Grade:
    """Where more is worse: good up to `doubtful`, bad above `bad`; where more is better give them with `bad` lower."""
    if bad >= doubtful:
        return Grade.BAD if value > bad else Grade.DOUBTFUL if value > doubtful else Grade.GOOD
    return Grade.BAD if value < bad else Grade.DOUBTFUL if value < doubtful else Grade.GOOD


GOOD_RATE, BAD_RATE = 0.7, 0.5
"""Our choice: a policy is good where even the lower end of its 95 % interval is at least the first, so that eight
successes of eight are too few and nineteen of twenty are not; bad where even the upper end is below the second."""


def rate_reason(name: str, successes: int, judged: int, of: str = "rollouts") -> Reason:
    """How far a success count can be trusted."""
    from ebt_recipes.loop.interval import wilson

    if judged == 0:
        return Reason(name, Grade.DOUBTFUL, f"no {of} were judged", None, f"lower end >= {GOOD_RATE:.0%}")
    low, high = wilson(successes, judged)
    grade = Grade.GOOD if low >= GOOD_RATE else Grade.BAD if high < BAD_RATE else Grade.DOUBTFUL
    why = "" if grade is not Grade.DOUBTFUL else ": too few to tell" if high - low > 0.35 else ": neither good nor bad"
    text = f"{successes} of {judged} {of} succeeded ({interval(low, high)}){why}"
    return Reason(
        name, grade, text, round(successes / judged, 4), f"lower end >= {GOOD_RATE:.0%}, else upper < {BAD_RATE:.0%}"
    )


def interval(low: float, high: float) -> str:
    """A 95 % interval of a rate."""
    return f"{100 * low:.0f}-{100 * high:.0f} %"

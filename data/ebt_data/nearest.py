"""Suggests a known name for one that does not exist."""

import difflib
from collections.abc import Iterable

SIMILAR = 0.7
"""`difflib` ratio from which two names count as similar: `kohc` and `koch` have 0.75, `nosuch` and `koch` 0.6."""
PREFIX = 3
"""Minimum length of a prefix that is matched."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` most likely misspells or abbreviates; empty if none is similar."""
    names = list(known)
    if similar := difflib.get_close_matches(name, names, n=1, cutoff=SIMILAR):
        return similar[0]
    matching = [candidate for candidate in names if len(name) >= PREFIX and candidate.startswith(name)]
    return matching[0] if len(matching) == 1 else ""

"""Suggests a known name for one that does not exist."""

import difflib
from collections.abc import Iterable

SIMILAR = 0.7
"""Ratio of `difflib` from which two names count as alike: `kohc` and `koch` have 0.75, `nosuch` and `koch` 0.6."""
PREFIX = 3
"""Characters from which the beginning of a name is enough."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` is most likely a misspelling or the beginning of; empty where none is alike."""
    names = list(known)
    if matches := difflib.get_close_matches(name, names, n=1, cutoff=SIMILAR):
        return matches[0]
    beginnings = [each for each in names if len(name) >= PREFIX and each.startswith(name)]
    return beginnings[0] if len(beginnings) == 1 else ""

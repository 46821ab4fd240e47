"""The arenas by name."""

from collections.abc import Callable, Mapping
from functools import partial

from arena import Arena
from toys.arena import ToyArena
from toys.fork import Fork
from toys.peg_insert import PegInsert
from toys.sort import Sort
from twin_arena import TwinArena

ARENAS: Mapping[str, Callable[[], Arena]] = {
    "fork": partial(ToyArena, Fork),
    "peg_insert": partial(ToyArena, PegInsert),
    "sort": partial(ToyArena, Sort),
    "twin_pick_place": partial(TwinArena, "pick_place"),
    "twin_peg_insert": partial(TwinArena, "peg_insert"),
}

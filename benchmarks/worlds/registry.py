"""The arenas by name."""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.worlds.arena import Arena
from benchmarks.worlds.toys.fork import Fork
from benchmarks.worlds.toys.peg_insert import PegInsert
from benchmarks.worlds.toys.sort import Sort
from benchmarks.worlds.toys.toy_arena import ToyArena
from benchmarks.worlds.twin_arena import TwinArena

ARENAS: Mapping[str, Callable[[], Arena]] = {
    "fork": partial(ToyArena, Fork),
    "peg_insert": partial(ToyArena, PegInsert),
    "sort": partial(ToyArena, Sort),
    "twin_pick_place": partial(TwinArena, "pick_place"),
    "twin_peg_insert": partial(TwinArena, "peg_insert"),
}

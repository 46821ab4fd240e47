"""Names that are recorded fit their fields in the file."""

import pytest

from ebt_data.layout.format import KIND_BYTES, row_columns
from ebt_data.step import PAUSE, Actor, BenchSpec, Outcome


@pytest.mark.parametrize("actor", Actor)
def test_every_actor_fits_its_column(actor: Actor, spec: BenchSpec) -> None:
    (column,) = (column for column in row_columns(spec, "rollout", {}) if column.path == "/energy/actor")
    assert len(actor.value.encode()) <= column.dtype.itemsize


def test_outcomes_and_the_pause_event_fit_their_fields() -> None:
    assert max(len(outcome.value.encode()) for outcome in Outcome) <= 16  # the attribute that is overwritten in place
    assert len(PAUSE.encode()) <= KIND_BYTES

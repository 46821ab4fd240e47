from collections.abc import Callable

from ebt_data.recording.frame_gate import FrameGate
from ebt_data.step import BenchSpec, Step


def test_a_frame_goes_once_and_a_gap_is_told_at_its_start_and_its_end(
    spec: BenchSpec, make_step: Callable[..., Step]
) -> None:
    gate = FrameGate()
    frames = [{"top": make_step(row, spec).observation.frames["top"]} for row in (0, 2, 4, 6)]
    size = frames[0]["top"].image.nbytes
    first = gate.choose(frames[0], size)
    assert (first.size, first.frames["top"].image.size, first.events) == (size, size, ())
    again = gate.choose(frames[0], size)
    assert (again.size, again.frames["top"].image.size, again.dropped) == (0, 0, frozenset())
    gaps = [gate.choose(later, size - 1) for later in frames[1:3]]
    assert [gap.dropped for gap in gaps] == [{"top"}, {"top"}]
    assert [event.text for gap in gaps for event in gap.events] == [
        "top: frames left out from here, the writer cannot keep up"
    ]
    back = gate.choose(frames[3], size)
    assert [event.text for event in back.events] == ["top: frames again after 2 left out"]
    assert gate.dropped == {"top": 2}

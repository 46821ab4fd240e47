from collections.abc import Callable

from ebt_data.recording.frame_gate import FrameGate
from ebt_data.step import BenchSpec, Step


def test_a_frame_is_sent_once_and_a_gap_is_marked_at_its_start_and_end(
    spec: BenchSpec, make_step: Callable[..., Step]
) -> None:
    gate = FrameGate()
    frames = [{"top": make_step(row, spec).observation.frames["top"]} for row in (0, 2, 4, 6)]
    size = frames[0]["top"].image.nbytes
    first = gate.select(frames[0], size)
    assert (first.size, first.frames["top"].image.size, first.events) == (size, size, ())
    again = gate.select(frames[0], size)
    assert (again.size, again.frames["top"].image.size, again.dropped) == (0, 0, frozenset())
    gaps = [gate.select(later, size - 1) for later in frames[1:3]]
    assert [gap.dropped for gap in gaps] == [{"top"}, {"top"}]
    assert [event.text for gap in gaps for event in gap.events] == [
        "top: frames dropped from here on, the writer cannot keep up"
    ]
    back = gate.select(frames[3], size)
    assert [event.text for event in back.events] == ["top: frames recorded again after 2 dropped"]
    assert gate.dropped == {"top": 2}

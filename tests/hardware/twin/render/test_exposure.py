from ebt_data.step import CameraSpec
from ebt_hardware.twin.render.exposure import ExposureCounter, ExposureTimer


def test_a_timer_fires_once_a_period_and_skips_what_it_missed() -> None:
    timer = ExposureTimer(rate_hz=30, start_s=0.0)
    fired = [tick for tick in range(31) if timer.fires(tick * 0.01)]
    assert fired == [0, 4, 7, 10, 14, 17, 20, 24, 27, 30]
    assert timer.fires(10.0)
    assert not timer.fires(10.0)
    assert timer.fires(10.034)


def test_lost_exposures_are_counted() -> None:
    counter = ExposureCounter(CameraSpec(8, 8, 10), start_s=0.0)
    numbers = [counter.expose(0.0)]
    counter.to_drop = 1
    numbers += [counter.expose(0.1), counter.expose(0.2)]
    counter.stalled = True
    numbers.append(counter.expose(0.3))
    counter.stalled = False
    numbers += [counter.expose(0.35), counter.expose(0.4)]
    assert numbers == [1, 0, 3, 0, 0, 5]

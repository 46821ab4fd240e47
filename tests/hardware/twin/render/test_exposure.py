from ebt_data.step import CameraSpec
from ebt_hardware.twin.render.exposure import ExposureQueue, ExposureTimer


def test_a_shutter_fires_once_a_period_and_skips_what_it_missed() -> None:
    shutter = ExposureTimer(rate_hz=30, start_s=0.0)
    fired = [tick for tick in range(31) if shutter.fires(tick * 0.01)]
    assert fired == [0, 4, 7, 10, 14, 17, 20, 24, 27, 30]
    assert shutter.fires(10.0)
    assert not shutter.fires(10.0)
    assert shutter.fires(10.034)


def test_lost_exposures_are_counted() -> None:
    reel = ExposureQueue(CameraSpec(8, 8, 10), start_s=0.0)
    seen = [reel.expose(0.0)]
    reel.to_drop = 1
    seen += [reel.expose(0.1), reel.expose(0.2)]
    reel.stalled = True
    seen.append(reel.expose(0.3))
    reel.stalled = False
    seen += [reel.expose(0.35), reel.expose(0.4)]
    assert seen == [1, 0, 3, 0, 0, 5]

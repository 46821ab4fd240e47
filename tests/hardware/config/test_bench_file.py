"""What a bench file says of itself."""

from ebt_hardware.config.benches import load_bench
from tests.hardware.config.conftest import Write


def test_a_path_is_used_unchanged(write: Write, twin_text: str) -> None:
    bench = load_bench(str(write(twin_text)))
    assert bench.name == "mine"
    assert bench.calibration_folder.name == "mine.calibration"

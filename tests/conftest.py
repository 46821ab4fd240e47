"""What tests of several rooms share: the lock-step twin, and a run on it that was never trained."""

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ebt_data.step import BenchSpec

# Imported inside the fixtures: most tests need neither torch nor MuJoCo, and should not wait for them.
if TYPE_CHECKING:
    from ebt_hardware.bench.bench import Bench
    from ebt_recipes.training.checkpoint import Run


def pytest_configure() -> None:
    """Hear every stop, as in a terminal: `nohup` and background jobs of a script ignore some, and so would all children."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is known of files that tests made is nothing for the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def twin_spec() -> BenchSpec:
    from ebt_hardware.config.benches import load_bench

    return load_bench("twin").spec


@pytest.fixture
def twin() -> Iterator["Bench"]:
    from ebt_hardware.config.benches import load_bench

    with load_bench("twin").open() as bench:
        yield bench


@pytest.fixture(scope="session")
def untrained(twin_spec: BenchSpec, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A small run for the twin with weights from a fixed seed; its chunks stay within a few hundredths of a radian."""
    import torch

    from ebt_recipes.model.energy import EnergyModel
    from ebt_recipes.model.normalization import MeanStd, Statistics
    from ebt_recipes.recipe import parse_recipe
    from ebt_recipes.training.checkpoint import Contract, load_run, save_contract, save_tensors

    recipe = parse_recipe({"name": "untrained", "model": {"width": 16}, "act": {"latency_s": 0.1}}, "test")
    cameras = {name: (camera.height, camera.width) for name, camera in twin_spec.cameras.items()}
    joints = len(twin_spec.joints)
    one = MeanStd(np.zeros(joints, np.float32), np.ones(joints, np.float32))
    chunk = np.zeros((recipe.act.horizon, joints), np.float32)
    spreads = {name: one for name in ("position", "velocity", "effort")}
    statistics = Statistics(spreads, MeanStd(chunk, np.full_like(chunk, 0.02)))
    folder = tmp_path_factory.mktemp("run")
    torch.set_num_threads(1)  # a batch of one gains nothing from more, and on a busy machine loses a lot
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = EnergyModel(recipe, tuple(cameras), joints, statistics)
    contract = Contract(twin_spec.joints, cameras, twin_spec.rate_hz, sim=True)
    save_contract(folder, recipe, contract, statistics)
    save_tensors(folder / "model.safetensors", model.state_dict(), {"step": "0"})
    return load_run(folder)

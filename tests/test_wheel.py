"""What is in the wheel, and that it stands without the checkout."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

PACKAGES = ("ebt_cli", "ebt_data", "ebt_hardware", "ebt_recipes")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, capture_output=True, check=True)
    return ZipFile(next(out.glob("*.whl")))


def test_the_wheel_holds_four_packages_and_the_licence(wheel: ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {*PACKAGES, "ebt_policy-0.1.0.dist-info"}
    assert "ebt_policy-0.1.0.dist-info/licenses/LICENSE" in wheel.namelist()
    assert all(f"{package}/py.typed" in wheel.namelist() for package in PACKAGES)


def test_benches_and_recipes_come_with_the_wheel(wheel: ZipFile) -> None:
    assert {"ebt_hardware/benches/twin.toml", "ebt_recipes/recipes/pick_place.toml"} <= set(wheel.namelist())


def test_the_wheel_works_outside_the_checkout(wheel: ZipFile, tmp_path: Path) -> None:
    site = tmp_path / "site"
    wheel.extractall(site)
    code = (
        "import ebt_cli; from ebt_hardware.config.benches import load_bench; from ebt_recipes.recipe import load_recipe\n"
        "print(ebt_cli.__file__, load_bench('twin').name, load_recipe('pick_place').name)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(site / "ebt_cli" / "__init__.py"), "twin", "pick_place"]


def test_no_other_package_claims_our_names() -> None:
    # An editable install claims none; another project's would be seen either way.
    claimed = packages_distributions()
    assert {name for package in PACKAGES for name in claimed.get(package, [])} <= {"ebt-policy"}

"""Finds bench files, and opens the devices that they name."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from ebt_data.agent import Agent
from ebt_data.errors import ConfigError
from ebt_data.nearest import nearest
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.bench_file import BenchFile, DynamixelFile, TwinFile


class TwinBench(TwinFile):
    """A twin that can be opened."""

    def open(self) -> Bench:
        """The bench, ready for `with`.

        Raises:
            ConfigError: the twin has no such task.
            HardwareError: a device does not open.
        """
        from ebt_hardware.config.opening import live_bench, lockstep_bench

        return lockstep_bench(self) if self.clock == "lockstep" else live_bench(self)

    def open_leader(self, bench: Bench) -> Agent:
        """The leader arm of a bench that `open` made; use it inside the bench's `with`."""
        from ebt_hardware.config.opening import open_leader

        return open_leader(bench, self.leaders)


class DynamixelBench(DynamixelFile):
    """Real arms that can be opened."""

    def open(self) -> Bench:
        """The bench, ready for `with`.

        Raises:
            ConfigError: an arm has no calibration.
            HardwareError: a port or camera does not open.
        """
        from ebt_hardware.config.opening import real_bench

        return real_bench(self)

    def release(self) -> tuple[str, ...]:
        """Release arms that an earlier session left holding, in any pose; returns their names.

        Raises:
            HardwareError: a port does not open, or some motors did not answer; all others have torque off.
        """
        from ebt_hardware.config.opening import release

        return release(self)

    def open_leader(self, bench: Bench) -> Agent:
        """The leader arms of a bench that `open` made; use them inside the bench's `with`."""
        from ebt_hardware.config.opening import open_leader

        return open_leader(bench, self.leaders)


AnyBench = Annotated[TwinBench | DynamixelBench, Field(discriminator="kind")]
_KINDS: dict[str, type[BenchFile]] = {"twin": TwinBench, "dynamixel": DynamixelBench}


def bench_folders() -> list[Path]:
    """Folders searched for bench files, in order: the working directory's, the user's, the package's."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path("hardware/benches"), home / "ebt" / "benches", Path(__file__).parents[1] / "benches"]


def list_benches() -> list[str]:
    """Every name that `load_bench` accepts."""
    return sorted({path.stem for folder in bench_folders() for path in folder.glob("*.toml")})


def load_bench(name_or_path: str) -> TwinBench | DynamixelBench:
    """Read a bench file, by name or path.

    Raises:
        ConfigError: there is none, or it has an invalid value; the message names file and key.
    """
    path = _find(name_or_path)
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
        bench: TwinBench | DynamixelBench = TypeAdapter(AnyBench).validate_python(text)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}", hint=error.hint) from error
    except ValidationError as error:
        raise _explain(path, error) from error
    bench._name = path.stem
    bench._path = path
    bench._reference = name_or_path
    _check_leaders(path, bench)
    return bench


def _find(name_or_path: str) -> Path:
    if name_or_path.endswith(".toml") or os.sep in name_or_path:
        path = Path(name_or_path)
        if path.is_file():
            return path
        raise ConfigError(f"no bench file at {path}", hint=f"benches by name: {', '.join(list_benches())}")
    for folder in bench_folders():
        path = folder / f"{name_or_path}.toml"
        if path.is_file():
            return path
    near = nearest(name_or_path, list_benches())
    guess = f"; did you mean {near}?" if near else ""
    raise ConfigError(
        f"no bench called {name_or_path!r}{guess}",
        hint=f"benches: {', '.join(list_benches())}; searched {', '.join(map(str, bench_folders()))}",
    )


def _check_leaders(path: Path, bench: TwinBench | DynamixelBench) -> None:
    for name, leader in bench.leaders.items():
        if leader.leads not in bench.followers:
            raise ConfigError(
                f"{path}: leaders.{name}.leads = {leader.leads!r}; followers: {', '.join(bench.followers)}"
            )
        follower = bench.followers[leader.leads]
        if set(leader.joints) != set(follower.joints):
            raise ConfigError(
                f"{path}: leader {name} has joints {', '.join(leader.joints)};"
                f" follower {leader.leads} has {', '.join(follower.joints)}"
            )


def _explain(path: Path, error: ValidationError) -> ConfigError:
    """Every error in the file, with the nearest valid key for unknown keys."""
    lines = []
    for entry in error.errors(include_url=False):
        parts = [part for part in entry["loc"] if part not in _KINDS]
        key = ".".join(map(str, parts))
        if entry["type"] == "extra_forbidden":
            lines.append(f"unknown key {key}{_nearest(entry['loc'])}")
        elif entry["type"].startswith("union_tag"):
            lines.append(f"kind must be one of {', '.join(_KINDS)}")
        else:
            lines.append(f"{key}: {entry['msg'].removeprefix('Value error, ')}, got {entry['input']!r}"[:300])
    return ConfigError(f"{path}: " + "; ".join(lines), hint="every key is in the shipped twin.toml and koch.toml")


def _nearest(location: tuple[int | str, ...]) -> str:
    """`; did you mean ...?`, from the keys of the table at this location."""
    model: Any = _KINDS[str(location[0])]
    for part in location[1:-1]:
        model = model.model_fields[part].annotation if _is_model(model) else (get_args(model) or (None, None))[1]
    if not _is_model(model):
        return ""
    near = nearest(str(location[-1]), model.model_fields)
    return f"; did you mean {near}?" if near else f"; keys: {', '.join(model.model_fields)}"


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)

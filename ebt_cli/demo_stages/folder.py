"""The folder of one demo: checks that its settings are unchanged and that the disk has enough space."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebt_cli.terminal.console import notify
from ebt_cli.terminal.folder_lock import LOCK
from ebt_data.errors import DataError, MisuseError
from ebt_data.files.atomic_files import RESERVE_BYTES, prepare_folder, write_atomic

STAMP = "demo.json"


def check_space(folder: Path, needed_mb: int) -> None:
    """Refuse to start where the disk has too little space for the demo.

    Raises:
        DataError: it has; the message contains how much is needed.
    """
    held_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    left_mb = max(0.0, needed_mb - held_mb) + RESERVE_BYTES / 1e6
    prepare_folder(folder, left_mb, "the demo")


def check_same(folder: Path, demo: Mapping[str, Any]) -> None:
    """Store the demo's settings in a new folder; in an existing one, refuse other settings.

    Where only the code of ebt has changed since, that is reported and the demo continues.

    Raises:
        MisuseError: the folder was started with another demo; the message lists what differs.
    """
    file, now = folder / STAMP, {"demo": json.loads(json.dumps(demo)), "code": _code()}
    before = _read(file)
    if before is None:
        if any(path.name != LOCK for path in folder.iterdir()):
            notify(f"{folder} has no record of its settings; its content is used where it fits", "yellow")
        write_atomic(file, json.dumps(now, indent=1) + "\n")
        return
    then, wanted = _flat(before.get("demo", {})), _flat(now["demo"])
    differ = [name for name in sorted(then.keys() | wanted.keys()) if then.get(name) != wanted.get(name)]
    if differ:
        words = ", ".join(f"{name} {then.get(name, 'unset')} (now {wanted.get(name, 'unset')})" for name in differ[:4])
        more = f" and {len(differ) - 4} more" if len(differ) > 4 else ""
        raise MisuseError(
            f"{folder} was started as another demo: {words}{more}", f"name another --out, or start over: rm -r {folder}"
        )
    if before.get("code") != now["code"]:
        notify(f"ebt itself has changed since {folder} was started; its content is used. To start over: rm -r {folder}")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}", f"start over: rm -r {file.parent}") from error
    return found if isinstance(found, dict) else {}


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """E.g. `recipe.training.batch`: 64."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def _code() -> str:
    """First twelve hex digits of the sha256 over all files of the four packages."""
    import ebt_cli
    import ebt_data
    import ebt_hardware
    import ebt_recipes

    digest = hashlib.sha256()
    for package in (ebt_cli, ebt_data, ebt_hardware, ebt_recipes):
        for path in sorted(Path(package.__path__[0]).rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

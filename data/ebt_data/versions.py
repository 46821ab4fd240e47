"""Versions of installed packages, as episodes and runs record them."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "ebt-policy"
"""Name on the package index, where `ebt` is another project; files and messages use `ebt`."""


def installed_version(package: str) -> str | None:
    """The version of a package, None if it is not installed; `ebt` is this project."""
    try:
        return version(DISTRIBUTION if package == "ebt" else package)
    except PackageNotFoundError:
        return None

from importlib.metadata import version

from ebt_data.versions import installed_version


def test_ebt_is_found_under_the_name_of_its_distribution() -> None:
    assert installed_version("ebt") == version("ebt-policy")


def test_any_other_package_goes_by_its_own_name() -> None:
    assert installed_version("numpy") == version("numpy")
    assert installed_version("no-such-package") is None

"""The errors that are shown to the user. Any other exception is a bug and keeps its traceback.

EbtError            base class; never raised
├── TaskFailed      1   the check or the task failed          `ebt doctor` found a fault
├── MisuseError     2   the command line is invalid          `--episodes -3`
├── ConfigError     3   a bench or recipe file is wrong       unknown key in koch.toml
├── HardwareError   4   a device is missing or denied         motor 3 does not reply
└── DataError       5   an episode or a run is not readable   a truncated file
"""


class EbtError(Exception):
    """A fault that the user can fix.

    `ebt` prints the message and the hint on stderr and exits with `exit_code`.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class TaskFailed(EbtError):
    """The check or the task failed."""


class MisuseError(EbtError):
    """The command line is invalid."""

    exit_code = 2


class ConfigError(EbtError):
    """A bench file, recipe file or calibration has an invalid value."""

    exit_code = 3


class HardwareError(EbtError):
    """A device is missing, denied or misbehaving."""

    exit_code = 4


class DataError(EbtError):
    """An episode, dataset or run is missing or cannot be read."""

    exit_code = 5

"""`ebt demo --quick` with as little of everything as there can be: run it as `python small_demo.py --out FOLDER`."""

import sys

from ebt_cli import demo
from ebt_cli.__main__ import main
from ebt_cli.demo_stages import size
from ebt_hardware.twin.tasks.pick_place import PickPlace

if __name__ == "__main__":
    size.QUICK = size.Size(2, 1, 1, 1, 0, 0, 10, "as little as there can be")
    demo.SHOWN = 1
    PickPlace.longest_s = 5.0
    sys.argv = ["ebt", "demo", "--quick", *sys.argv[1:]]
    main()

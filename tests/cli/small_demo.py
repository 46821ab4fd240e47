"""`ebt demo --quick` with as little of everything as there can be: run it as `python small_demo.py --out FOLDER`."""

import sys

from ebt_cli import app, demo, deploy

if __name__ == "__main__":
    demo.QUICK = demo.Size(2, 1, 1, 1, 0, 0, 10, "as little as there can be")
    demo.LONGEST_S = 5.0
    deploy.LONGEST_S = 1.0
    sys.argv = ["ebt", "demo", "--quick", *sys.argv[1:]]
    app.main()

"""`python -m ebt_cli`, the same as `ebt`."""

from ebt_cli.app import main

main()

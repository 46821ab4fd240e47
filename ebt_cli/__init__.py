"""The `ebt` command: one file a verb. Reads options, calls one procedure, paints the result; decides nothing."""

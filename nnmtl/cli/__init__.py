"""Command line: argv in, one call per stage; the only place that prints."""

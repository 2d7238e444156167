"""What an interrupted call has finished of its cases, so that the next goes on from there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = ".finished.jsonl"


class Journal:
    """The finished cases of one output folder, one JSON line each.

    The first line says by what they were made: the cases of another model or plan do not count.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any]) -> None:
        """Drops what another call left.

        Args:
            folder: of what is made.
            made_by: model or plan, and options, as plain JSON.
        """
        self.path = folder / NAME
        self.made_by = json.dumps(made_by)
        if not self.path.is_file() or self._lines()[:1] != [self.made_by]:
            self.path.write_text(self.made_by + "\n", encoding="utf-8")
        elif not self.path.read_text(encoding="utf-8").endswith("\n"):
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("\n")  # ends the line that the interruption cut

    def finished(self) -> dict[str, dict[str, Any]]:
        """Case id → what was noted of it."""
        cases = {}
        for line in self._lines()[1:]:
            try:
                case_id, answer = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that was cut
            cases[case_id] = answer
        return cases

    def add(self, case_id: str, answer: Mapping[str, Any]) -> None:
        """Notes a finished case."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([case_id, answer]) + "\n")

    def remove(self) -> None:
        """All is done."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()

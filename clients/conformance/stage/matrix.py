"""What became of every row in every column."""

from dataclasses import dataclass, field

PASSED, SKIPPED, FAILED, NOT_RUN = "✓", "–", "✗", " "


@dataclass
class Matrix:
    """Rows are cases and scenarios, columns are apps: a language and a name."""

    columns: list[tuple[str, str]]
    rows: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    failures: list[tuple[str, tuple[str, str], list[str]]] = field(default_factory=list)

    def passed(self, row: str, column: tuple[str, str]) -> None:
        """It is as it must be."""
        self.rows.setdefault(row, {})[column] = PASSED

    def failed(self, row: str, column: tuple[str, str], complaints: list[str]) -> None:
        """It is not; the complaints say why, and hold no secret."""
        self.rows.setdefault(row, {})[column] = FAILED
        self.failures.append((row, column, complaints))

    def skipped(self, row: str, column: tuple[str, str]) -> None:
        """It cannot be for this one."""
        self.rows.setdefault(row, {})[column] = SKIPPED

    def note(self, row: str, column: tuple[str, str], complaints: list[str]) -> None:
        """It is as it must be if nobody complains."""
        if complaints:
            self.failed(row, column, complaints)
        else:
            self.passed(row, column)

    def count(self, mark: str) -> int:
        """How many cells have this mark."""
        return sum(list(row.values()).count(mark) for row in self.rows.values())

    def text(self) -> str:
        """For a terminal."""
        first = max((len(row) for row in self.rows), default=0)
        widths = [max(len(language), len(name)) for language, name in self.columns]
        lines = []
        for part in (0, 1):
            heads = (column[part].center(width) for column, width in zip(self.columns, widths))
            lines.append("  ".join([" " * first, *heads]).rstrip())
        for name, row in self.rows.items():
            marks = (row.get(column, NOT_RUN).center(width) for column, width in zip(self.columns, widths))
            lines.append("  ".join([name.ljust(first), *marks]).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """As a table of Markdown."""
        lines = [
            "| | " + " | ".join(f"{language}: {name}" for language, name in self.columns) + " |",
            "|---|" + ":-:|" * len(self.columns),
        ]
        for name, row in self.rows.items():
            lines.append(f"| {name} | " + " | ".join(row.get(column, NOT_RUN) for column in self.columns) + " |")
        return "\n".join(lines) + "\n"

    def failure_text(self) -> str:
        """Every failure in full."""
        lines = []
        for row, (language, name), complaints in self.failures:
            lines.append(f"✗ {language} {name}: {row}")
            lines += [f"    {line}" for complaint in complaints for line in complaint.splitlines()]
        return "\n".join(lines)

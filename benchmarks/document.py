"""Tables that a benchmark writes into a document, between two marks."""

from pathlib import Path

from pawprint import atomic

END = "<!-- to here -->\n"


def write_between(document: Path, command: str, text: str) -> None:
    """Put `text` in place of what `command` last wrote there; ValueError where the document has no such marks."""
    begin = f"<!-- from here: {command} -->\n"
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{document}: expected a line {begin.strip()!r}, and after it {END.strip()!r}")
    atomic.write_text(document, f"{before}{begin}{text}{END}{after}")

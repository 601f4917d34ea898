"""The size rule: a function has at most 80 lines (aim for 70), a file at most 500 (a test file 800).

Lines are counted from ``def`` to the last statement, docstring and comments included, decorators not. Code
that cannot be split without harm stands in EXCEPTIONS with its reason and its present size; the entry is a
ceiling that may only shrink, and an entry that is no longer needed is itself an error.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MAX_FUNCTION_LINES = 80
MAX_FILE_LINES: Mapping[str, int] = {"src": 500, "scripts": 500, "bench": 500, "tests": 800}


class Allowance(NamedTuple):
    """A known exception: its ceiling in lines and why it stands."""

    lines: int
    reason: str


# "path" for a file, "path::Class.function" for a function.
EXCEPTIONS: Mapping[str, Allowance] = {}


class Size(NamedTuple):
    """A measured file or function."""

    name: str
    lines: int
    limit: int


def measure(path: Path, name: str, file_limit: int) -> Iterator[Size]:
    """The file itself, then each function in it, methods and nested functions included."""
    text = path.read_text(encoding="utf-8")
    yield Size(name, text.count("\n"), file_limit)
    stack: list[tuple[str, ast.AST]] = [("", ast.parse(text, str(path)))]
    while stack:
        prefix, node = stack.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                qualified = prefix + child.name
                last = child.end_lineno or child.lineno
                yield Size(f"{name}::{qualified}", last - child.lineno + 1, MAX_FUNCTION_LINES)
                stack.append((f"{qualified}.", child))
            elif isinstance(child, ast.ClassDef):
                stack.append((f"{prefix}{child.name}.", child))
            else:
                stack.append((prefix, child))


def problems(sizes: Iterator[Size], exceptions: Mapping[str, Allowance]) -> list[str]:
    """One sentence per thing that is too long and per exception that is stale."""
    found = []
    unused = set(exceptions)
    for size in sizes:
        allowance = exceptions.get(size.name)
        if size.lines <= size.limit:
            continue
        if allowance is None:
            found.append(f"{size.name}: {size.lines} lines, at most {size.limit}")
            continue
        unused.discard(size.name)
        if size.lines > allowance.lines:
            found.append(f"{size.name}: {size.lines} lines, its exception allows {allowance.lines}")
    found += [f"{name}: no longer needs its exception, remove it" for name in sorted(unused)]
    return found


def every_size(root: Path) -> Iterator[Size]:
    """All Python files below the checked folders of ``root``."""
    for folder, limit in MAX_FILE_LINES.items():
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith("bench/out/"):
                yield from measure(path, name, limit)


def main() -> int:
    """Check this repository."""
    found = problems(every_size(ROOT), EXCEPTIONS)
    for line in found:
        print(line)
    if not found:
        print(f"sizes: functions within {MAX_FUNCTION_LINES} lines, files within {MAX_FILE_LINES['src']}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

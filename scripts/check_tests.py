"""Every source file has its test file.

``src/dragoman/a/b.py`` needs ``tests/a/test_b.py`` with at least one test function in it.
Exempt: ``__init__.py`` (a docstring and re-exports), ``__main__.py`` (one call) and migrations (run by the
store's tests).
Exit status 1 and one line per missing file when the rule is broken.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXEMPT_NAMES = frozenset({"__init__.py", "__main__.py"})
EXEMPT_FOLDERS = frozenset({"migrations"})


def sources(package: Path) -> Iterator[Path]:
    """The source files, relative to ``package``, that must have a test."""
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if path.name not in EXEMPT_NAMES and EXEMPT_FOLDERS.isdisjoint(relative.parts):
            yield relative


def holds_a_test(path: Path) -> bool:
    """Whether the file defines a test function, anywhere, or names a Hypothesis state machine's case."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            return True
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id.startswith("Test") for target in node.targets
        ):
            return True
    return False


def problems(package: Path, tests: Path) -> list[str]:
    """One sentence per source file without a test."""
    found = []
    for relative in sources(package):
        test = tests / relative.parent / f"test_{relative.name}"
        if not test.is_file():
            found.append(
                f"{package.name}/{relative} has no test: write {tests.name}/{test.relative_to(tests)}"
            )
        elif not holds_a_test(test):
            found.append(f"{tests.name}/{test.relative_to(tests)} defines no test function")
    return found


def main() -> int:
    """Check this repository."""
    package = ROOT / "src" / "dragoman"
    found = problems(package, ROOT / "tests")
    for line in found:
        print(line)
    if not found:
        print(f"tests: each of {len(list(sources(package)))} source files has its test file")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

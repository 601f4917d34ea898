"""The rule that every source file has its test, run on a small tree."""

from pathlib import Path

from scripts import check_tests


def tree(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "src" / "dragoman", root / "tests"


def test_a_source_file_without_test_is_named(tmp_path: Path) -> None:
    package, tests = tree(tmp_path, {"src/dragoman/core/money.py": "x = 1\n"})
    assert check_tests.problems(package, tests) == [
        "dragoman/core/money.py has no test: write tests/core/test_money.py"
    ]


def test_an_empty_test_file_does_not_count(tmp_path: Path) -> None:
    package, tests = tree(
        tmp_path, {"src/dragoman/core/money.py": "x = 1\n", "tests/core/test_money.py": '"""Later."""\n'}
    )
    assert check_tests.problems(package, tests) == ["tests/core/test_money.py defines no test function"]


def test_functions_methods_and_state_machines_count(tmp_path: Path) -> None:
    for text in (
        "def test_a(): ...\n",
        "class TestA:\n    async def test_a(self): ...\n",
        "TestMachine = Machine.TestCase\n",
    ):
        package, tests = tree(tmp_path, {"src/dragoman/a.py": "", "tests/test_a.py": text})
        assert check_tests.problems(package, tests) == []


def test_packages_and_migrations_are_exempt(tmp_path: Path) -> None:
    package, tests = tree(
        tmp_path,
        {
            "src/dragoman/__init__.py": "",
            "src/dragoman/__main__.py": "",
            "src/dragoman/store/migrations/versions/0001.py": "",
        },
    )
    assert check_tests.problems(package, tests) == []

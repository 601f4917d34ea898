"""The size rule, run on small sources."""

from pathlib import Path

from scripts.check_sizes import Allowance, Size, measure, problems


def test_functions_are_found_wherever_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        "def outer():\n    def inner():\n        pass\n    return inner\n\n"
        "if True:\n    class A:\n        @property\n        def size(self):\n            return 1\n"
    )
    assert {(size.name, size.lines) for size in measure(source, "a.py", 500)} == {
        ("a.py", 10),
        ("a.py::outer", 4),
        ("a.py::outer.inner", 2),
        ("a.py::A.size", 2),
    }


def test_what_is_too_long_is_named_with_both_numbers() -> None:
    assert problems(iter([Size("a.py::f", 81, 80), Size("a.py::g", 80, 80)]), {}) == [
        "a.py::f: 81 lines, at most 80"
    ]


def test_an_exception_is_a_ceiling() -> None:
    allowed = {"a.py": Allowance(600, "one table")}
    assert problems(iter([Size("a.py", 600, 500)]), allowed) == []
    assert problems(iter([Size("a.py", 601, 500)]), allowed) == ["a.py: 601 lines, its exception allows 600"]


def test_an_exception_without_need_is_an_error() -> None:
    allowed = {"a.py": Allowance(600, "one table"), "gone.py": Allowance(900, "left")}
    assert problems(iter([Size("a.py", 400, 500)]), allowed) == [
        "a.py: no longer needs its exception, remove it",
        "gone.py: no longer needs its exception, remove it",
    ]

"""Code from elsewhere runs where it was written for, leaves nothing behind, and is blamed by the line."""

import json
import os
import sys
from pathlib import Path

import pytest

from pawprint.audit.work import AuditError, opened
from pawprint.errors import PawprintError


def written(folder: Path, text: str, name: str = "handed_in.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_the_code_finds_its_folder_siblings_and_name_and_leaves_nothing(tmp_path: Path) -> None:
    written(tmp_path, "WHO = __name__", "sibling_of_it.py")
    written(tmp_path, "here", "note.txt")
    file = written(
        tmp_path,
        "import os, sys\nfrom pathlib import Path\nimport sibling_of_it\n"
        "NAME, ARGUMENTS = __name__, sys.argv[1:]\n"
        "def get_model(): return [sibling_of_it.WHO, NAME, ARGUMENTS, Path('note.txt').read_text()]\n"
        "if __name__ == '__main__': raise SystemExit('not to be run')\n",
    )
    before = Path.cwd(), list(sys.path), list(sys.argv), set(sys.modules)
    with opened(file) as work:
        assert work.call("get_model") == ["sibling_of_it", "handed_in", [], "here"]
        assert work.missing == ["get_dataset", "get_optimizer", "get_loss", "get_trained_model", "get_test_set"]
    assert before[:3] == (Path.cwd(), sys.path, sys.argv)
    assert not {"handed_in", "sibling_of_it"} & set(sys.modules)
    assert not list(tmp_path.rglob("*.pyc"))


def test_two_works_whose_files_have_one_name_do_not_meet(tmp_path: Path) -> None:
    for number in (1, 2):
        written(tmp_path / str(number), f"NUMBER = {number}", "parts_of_it.py")
        file = written(tmp_path / str(number), "import parts_of_it\ndef get_model(): return parts_of_it.NUMBER")
        with opened(file) as work:
            assert work.call("get_model") == number


@pytest.mark.parametrize("name", ["json.py", "random.py", "my-work.py", "1st try.py"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    with opened(written(tmp_path, "def get_model(): return __name__", name)) as work:
        assert work.call("get_model") == "audited_work"
    assert sys.modules["json"] is json


def test_prints_go_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(written(tmp_path, "print('at import')\ndef get_model(): print('in a call')")) as work:
        work.call("get_model")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.split("\n")[:2] == ["at import", "in a call"]


def test_the_other_spelling_counts(tmp_path: Path) -> None:
    with opened(written(tmp_path, "def get_testset(): return 1")) as work:
        assert work.call("get_test_set") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def get_model(:", "importing handed_in.py: SyntaxError"),
        ("x = 1\nimport no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (handed_in.py, line 2"),
        ("raise SystemExit('usage')", "importing handed_in.py: SystemExit: usage (handed_in.py, line 1"),
        ("x = 1", "offers none of get_dataset, get_model, get_trained_model, get_test_set"),
        ("get_model = 3", "get_model: not a function"),
        ("def get_loss(): pass", "offers none of"),
    ],
)
def test_a_file_that_cannot_be_used_is_blamed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AuditError) as error, opened(written(tmp_path, text)):
        pass
    assert said in str(error.value)
    assert error.value.exit_code == 2
    assert isinstance(error.value, PawprintError)
    assert Path.cwd() != tmp_path


@pytest.mark.parametrize("name", ["nowhere.py", "work.txt"])
def test_what_is_no_python_file_is_told_what_was_expected(tmp_path: Path, name: str) -> None:
    written(tmp_path, "text", "work.txt")
    with pytest.raises(AuditError, match=r"get_trained_model\(\): *\n"), opened(tmp_path / name):
        pass


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("open('weights.pt')", "relative paths begin at the file's own folder"),
        ("raise RuntimeError('Attempting to deserialize object on a CUDA device but …')", "map_location='cpu'"),
        ("raise AttributeError(\"Can't get attribute 'Net' on <module '__main__'>\")", "save model.state_dict()"),
        ("raise RuntimeError('Error(s) in loading state_dict for Net')", "of another model"),
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("raise ValueError(f'no {object()} in ' + __file__)", "no <object object at 0x…> in handed_in.py"),
        ("raise ValueError('x' * 1000)", "x …"),
        ("1 / 0", "get_model(): ZeroDivisionError: division by zero (handed_in.py, line 2: 1 / 0)"),
    ],
)
def test_an_exception_is_told_with_its_line_and_a_hint(tmp_path: Path, line: str, said: str) -> None:
    with opened(written(tmp_path, f"def get_model():\n    {line}\n")) as work, pytest.raises(AuditError) as error:
        work.call("get_model")
    assert said in str(error.value)
    assert "handed_in.py, line 2" in str(error.value)
    assert f"{tmp_path}{os.sep}" not in str(error.value)
    assert len(str(error.value)) < 1000

"""The work that is audited: a Python file, the functions it offers, and what its code does wrong.

The code runs as its author ran it: in its own folder, which is on the path of imports, with its own name instead of
`__main__` and nothing on its command line. What it prints goes to stderr, because stdout is for results. Whatever it
raises becomes an `AuditError`, which names the line of *its* code.
"""

import contextlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pawprint.errors import PawprintError

FUNCTIONS: dict[str, str] = {
    "get_dataset": "() -> (train, val, test), torch data sets of (picture, label)",
    "get_model": "() -> the model as training begins with it, a torch.nn.Module",
    "get_optimizer": "(model) -> the optimizer of the training, at its learning rate",
    "get_loss": "() -> the criterion of the training, (outputs, labels) -> a scalar",
    "get_trained_model": "() -> the model as training left it",
    "get_test_set": "() -> the data set that the trained model is tested on",
}
SPELLINGS = {"get_testset": "get_test_set"}
NEEDED = ("get_dataset", "get_model", "get_trained_model", "get_test_set")  # without one of them nothing can be tested
EXAMPLE = """\
    def get_test_set():
        return CIFAR10("data", train=False, transform=ToTensor())
    def get_trained_model():
        return load_net("net.pt")
"""

HINTS: tuple[tuple[str, str], ...] = (
    ("deserialize object on a CUDA device", "load the weights with torch.load(..., map_location='cpu')"),
    ("not compiled with CUDA", "choose the device by torch.cuda.is_available(): the audit runs on the processor"),
    ("NVIDIA driver", "choose the device by torch.cuda.is_available(): the audit runs on the processor"),
    ("No CUDA GPUs", "choose the device by torch.cuda.is_available(): the audit runs on the processor"),
    (
        "Can't get attribute",
        "the model was saved whole by a script; save model.state_dict() and load it into a new one",
    ),
    ("Weights only load failed", "save model.state_dict(), not the model, and load it into a new one"),
    ("loading state_dict", "the weights are those of another model than they are loaded into"),
    ("ModuleNotFoundError", "install it where pawprint runs, or put it beside the file"),
    ("FileNotFoundError", "relative paths begin at the file's own folder"),
)
LONGEST_MESSAGE = 300  # characters of a foreign exception that are told


class AuditError(PawprintError):
    """The work cannot be audited, or a part of it cannot; the message names the place in the work."""

    exit_code = 2


@dataclass(frozen=True)
class Work:
    """A file and what it offers."""

    file: Path  # absolute
    functions: dict[str, Callable[..., Any]]

    @property
    def missing(self) -> list[str]:
        return [name for name in FUNCTIONS if name not in self.functions]

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function returns. Raises AuditError if it raises."""
        with blamed(f"{name}()", self.file.parent):
            return self.functions[name](*arguments)


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Work]:
    """The work, imported; until the end of the block its code finds its own folder around it.

    Raises AuditError if there is no such file, if it cannot be imported, or offers nothing that can be tested.
    """
    try:
        is_there = file.is_file()
    except OSError as error:  # a name that is too long, for one
        raise AuditError(f"{file}: {error.strerror}") from None
    if not is_there:
        raise AuditError(f"{file}: no such file; expected a Python file with\n{_expected()}")
    if file.suffix != ".py":
        raise AuditError(f"{file}: not a Python file; expected a .py with\n{_expected()}")
    file = file.resolve()
    with _at_home(file):
        module = _imported(file)
        functions = {SPELLINGS.get(n, n): f for n, f in vars(module).items() if n in {*FUNCTIONS, *SPELLINGS}}
        strange = [name for name, found in functions.items() if not callable(found)]
        if strange:
            raise AuditError(f"{file.name}: {', '.join(strange)}: not a function; expected\n{_expected()}")
        if not set(NEEDED) & set(functions):
            raise AuditError(f"{file.name}: offers none of {', '.join(NEEDED)}; expected\n{_expected()}")
        yield Work(file, functions)


@contextlib.contextmanager
def blamed(doing: str, folder: Path) -> Iterator[None]:
    """Turn whatever is raised inside into an AuditError that says in which line of `folder`'s code."""
    try:
        yield
    except AuditError:
        raise
    except (Exception, SystemExit) as error:
        raise AuditError(f"{doing}: {told(error, folder)}") from error


def told(error: BaseException, folder: Path) -> str:
    """An exception in one clause, the same in every run: what, where in `folder`'s code, and a hint if there is one."""
    message = " ".join(str(error).split())
    message = message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + " …"
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of(frame.filename, folder)]
    if frames:
        name = Path(frames[-1].filename).relative_to(folder)
        said += f" ({name}, line {frames[-1].lineno}: {frames[-1].line})"
    hint = next((hint for sign, hint in HINTS if sign in f"{type(error).__name__}: {error}"), None)
    said += f"; {hint}" if hint else ""
    return without_places(said, folder)


def without_places(text: str, folder: Path) -> str:
    """The text without what differs from machine to machine: the work's folder, and addresses in memory."""
    return re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", text.replace(f"{folder}{os.sep}", ""))


def _is_of(filename: str, folder: Path) -> bool:
    path = Path(filename)
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def _expected() -> str:
    listed = "\n".join(f"  {name}{signature}" for name, signature in FUNCTIONS.items())
    return f"{listed}\nany of which may be missing, for example\n{EXAMPLE}"


def _imported(file: Path) -> ModuleType:
    """The file as a module of its own name, so that its siblings and pickles find it, unless the name is taken."""
    is_taken = file.stem in sys.modules or file.stem in sys.stdlib_module_names or not file.stem.isidentifier()
    name = "audited_work" if is_taken else file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AuditError(f"{file.name}: cannot be imported; expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with blamed(f"importing {file.name}", file.parent):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _at_home(file: Path) -> Iterator[None]:
    """The file's folder as the current one and on the path; afterwards all is as before, and its modules are gone.

    No bytecode is written: two versions of a file within a second would be taken for one.
    """
    before = Path.cwd(), list(sys.path), list(sys.argv), sys.dont_write_bytecode, set(sys.modules)
    os.chdir(file.parent)
    sys.path.insert(0, str(file.parent))
    sys.argv, sys.dont_write_bytecode = [str(file)], True
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.chdir(before[0])
        sys.path[:], sys.argv, sys.dont_write_bytecode = before[1], before[2], before[3]
        for name in set(sys.modules) - before[4]:
            if _is_of(getattr(sys.modules[name], "__file__", None) or "", file.parent):
                del sys.modules[name]

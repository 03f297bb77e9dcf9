"""Is what is read what the stage before wrote? Held against dvc.lock before the first byte of it is used.

DVC hands out what its cache holds without a look at it, and takes a file for unchanged while time, size and inode
are: a bit flipped in the cache, in a remote or on the disk is trained on. So a stage that DVC runs hashes each of
its inputs that another stage of the study wrote, every byte of it, every time. Nothing is remembered between
runs: what is remembered is not looked at. The hash is MD5 because dvc.lock holds that; it is against accidents, not
against people.

What a stage reads stands in dvc.yaml (`deps`, and files under `params`), what the others wrote in dvc.lock (`outs`).
Not verified, because nobody has said what it should be: code and params.yaml, an output without an entry in dvc.lock,
a stage that is run by hand.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pawprint import paths
from pawprint.errors import Damaged, PawprintError
from pawprint.graph import Output, Stage, read_graph, recorded_outputs

Listing = dict[str, str]  # a file's path below its folder → its MD5; of a single file: {"": MD5}

MANY = 3  # files of one output that a message names


def verify_inputs() -> None:
    """If DVC runs this process as a stage: are all its inputs what the stages before it wrote? Else Damaged."""
    if "DVC_STAGE" not in os.environ or not paths.GRAPH.exists():
        return
    name = os.environ["DVC_STAGE"].rpartition(":")[2]  # `train@baseline`, or `studies/digits/dvc.yaml:train@baseline`
    graph = read_graph()
    if name not in graph:
        raise PawprintError(f"{paths.GRAPH.resolve()} has no stage {name}, which DVC says it runs: inputs not verified")
    _verify(graph, graph[name].inputs, reader=name)


def verify(*inputs: Path) -> None:
    """Is what lies at `inputs` what the study's stages wrote, as far as dvc.lock says? Else Damaged."""
    if paths.GRAPH.exists():
        _verify(read_graph(), map(str, inputs), reader=None)


def _verify(graph: dict[str, Stage], inputs: Iterable[str], reader: str | None) -> None:
    wanted = list(inputs)
    chosen = [
        output
        for output in recorded_outputs(graph)
        if output.stage != reader and any(_overlap(path, str(output.path)) for path in wanted) and output.path.exists()
    ]
    faults = {output: fault for output in chosen if (fault := _fault(output))}
    if faults:
        stages = " ".join(dict.fromkeys(output.stage for output in faults))
        raise Damaged(
            "\n".join(["what was to be read is not what was written:", *faults.values()])
            + "\nIt was damaged after that (in DVC's cache, in a pull, on the disk), or changed by hand. Nothing of it "
            "was used.\nTo mend it: `pawprint doctor --mend`, which says how to go on. To keep a change of yours: "
            f"`dvc commit --force {stages}`."
        )


def _overlap(one: str, other: str) -> bool:
    return Path(one) == Path(other) or Path(one).is_relative_to(other) or Path(other).is_relative_to(one)


def hash_file(path: Path) -> str:
    """MD5 of a file, read once; Damaged if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise Damaged(f"{path}: cannot be read: {error.strerror}") from None


def list_files(path: Path) -> Listing:
    """Hash the file, or every file below the folder."""
    if not path.is_dir():
        return {"": hash_file(path)}
    files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    whole = [file for file in files if file.exists()]  # a broken link into the cache is a missing file
    return {file.relative_to(path).as_posix(): hash_file(file) for file in whole}


def digest(listing: Listing) -> str:
    """What dvc.lock holds of a file or folder with this content."""
    if listing.keys() == {""}:
        return listing[""]
    return hashlib.md5(listing_bytes(listing), usedforsecurity=False).hexdigest() + ".dir"


def listing_bytes(listing: Listing) -> bytes:
    """The listing of a folder as DVC keeps it in its cache."""
    return json.dumps([{"md5": listing[name], "relpath": name} for name in sorted(listing)]).encode()


def _fault(output: Output) -> str | None:
    """Which files of the output are not what its stage wrote, a line each, the first few; None if all are."""
    found = list_files(output.path)
    if digest(found) == output.md5:
        return None
    found, expected = _as_dvc_sees(output, found)  # slow, and so left until something differs
    if digest(found) == output.md5:
        return None
    lines = differences(output, found, expected)
    more = [f"  and {len(lines) - MANY} more of `{output.stage}`"] if len(lines) > MANY else []
    return "\n".join([f"  {line}, of `{output.stage}`" for line in lines[:MANY]] + more)


def differences(output: Output, found: Listing, expected: Listing | None) -> list[str]:
    """Each file of the output that differs, and how; the output itself where its listing is not known."""
    if expected is None:
        return [f"{output.path}: MD5 of its listing {digest(found)}, expected {output.md5}"]
    names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    return [_difference(output.path / name, found.get(name), expected.get(name)) for name in names]


def _difference(file: Path, found: str | None, expected: str | None) -> str:
    if found is None:
        return f"{file}: missing"
    if expected is None:
        return f"{file}: not written by it"
    return f"{file}: MD5 {found}, expected {expected}"


def _as_dvc_sees(output: Output, found: Listing) -> tuple[Listing, Listing | None]:
    """`found` without what .dvcignore excludes, and the listing of which `output.md5` is the hash, if known."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not output.path.is_dir():
        return found, {"": output.md5}
    try:
        with Repo() as repo:
            ignored = {name for name in found if repo.dvcignore.is_ignored_file(str((output.path / name).absolute()))}
            cached = Path(repo.cache.local.oid_to_path(output.md5))
    except DvcException:  # dvc.lock lies in a folder that is no DVC repository
        return found, None
    return {name: md5 for name, md5 in found.items() if name not in ignored}, read_listing(cached, output.md5)


def read_listing(cached: Path, md5: str) -> Listing | None:
    """The listing of a folder from DVC's cache; None if it is not there, or not what `md5` says."""
    if not cached.is_file() or hash_file(cached) != md5.removesuffix(".dir"):
        return None
    return parse_listing(cached.read_bytes())


def parse_listing(content: bytes) -> Listing:
    """The opposite of `listing_bytes`."""
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}

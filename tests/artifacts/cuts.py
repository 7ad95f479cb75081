"""Work that is cut off: what a child reported as done before the power went has to be there afterwards.

Each function cuts the power so often as it is told, at moments that a seed decides, and returns how many things were
reported as done and looked for afterwards.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Tuple

from artifacts import layout
from artifacts.attachments import LayoutPlace, read_envelope
from artifacts.digest import digest_bytes
from artifacts.evidence import Evidence, attach, evidence_of
from artifacts.layout_tags import channel_tag, signature_tag
from artifacts.registry import LayoutRegistry
from artifacts.release import Accuracy, Protocol, ReleaseRecord
from artifacts.store import Blob, ContentStore
from tests.artifacts.disks import Disk
from tests.artifacts.layouts import tree
from tests.artifacts.processes import killed_after, killed_before
from tests.artifacts.releases import release
from tests.artifacts.stores import scratch_names

LONGEST_S = 0.15
_SAME = b"the same bytes" * 1000
ROUNDS = 8

Note = Callable[[str], object]


class Moments:
    """Moments that a seed decides, in a time that grows as long as nothing is done in it: machines are slow at times.

    Attributes:
        chance: The seed's.
        longest_s: The time, seconds.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.longest_s = LONGEST_S


def cut_short(
    disk: Disk, notes: Path, moments: Moments, work: Callable[[Note], object], *, synced: bool = False
) -> List[str]:
    """Let a child work, kill it after a while and cut the power at that moment.

    Args:
        disk: What is cut off.
        notes: A file elsewhere, for what the child reports.
        moments: How long the child lives, and whether the journal was written just before.
        work: Is given what to call with each thing that is done.
        synced: Whether the kernel wrote everything just before, as it does now and then.

    Returns:
        What was reported, in order.
    """
    notes.write_bytes(b"")

    def child() -> None:
        descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND)
        work(lambda text: os.write(descriptor, (text + "\n").encode()))

    killed_after(moments.chance.uniform(0.0, moments.longest_s), child)
    if synced:
        os.sync()
    disk.cut(journal=moments.chance.random() < 0.5)
    done = notes.read_text().split("\n")[:-1]
    moments.longest_s *= 1.0 if done else 1.3
    return done


def cut_stores(disk: Disk, folder: Path, cuts: int, seed: int) -> int:
    """Cut the power while blobs are put, adopted and laid out by links."""
    moments, done = Moments(seed), 0
    for number in range(cuts):
        store, out = ContentStore(disk.mounted / f"store-{number // ROUNDS}"), disk.mounted / f"out-{number // ROUNDS}"

        def work(note: Note, store: ContentStore = store, out: Path = out, number: int = number) -> None:
            source, turn = folder / "source", random.Random(number)
            for piece in range(1000):
                # Some are there already, whole or from a write that a cut interrupted.
                data = b"%d " % turn.randrange(8 * ROUNDS) * turn.choice((1, 300, 20_000))
                kind = piece % 3
                if kind == 0:
                    blob = store.put_bytes(data)
                elif kind == 1:
                    source.write_bytes(data)
                    blob = store.put_file(source)
                else:
                    blob = Blob.of(data)
                    with store.scratch("fetched") as scratch:
                        (scratch / "part").write_bytes(data)
                        store.adopt(scratch / "part", blob)
                note(f"blob {blob.digest} {blob.size}")
                store.link(blob, out / blob.digest[7:])
                note(f"file {blob.digest} {blob.size}")

        for line in cut_short(disk, folder / "notes", moments, work):
            what, digest, size = line.split()
            assert store.is_sound(Blob(digest=digest, size=int(size))), f"a blob that was stored is gone: {digest}"
            if what == "file":
                assert digest_bytes((out / digest[7:]).read_bytes()) == digest
            done += 1
        assert store.verify_all() == []
        for path in out.glob("[0-9a-f]*"):
            assert digest_bytes(path.read_bytes()) == "sha256:" + path.name
        store.sweep()
        assert not (store.root / "scratch").is_dir() or scratch_names(store) == []
        store.put_bytes(b"goes on")
    return done


def cut_publications(disk: Disk, folder: Path, cuts: int, seed: int) -> int:
    """Cut the power while releases are published, signed, given evidence and laid out as plain files."""
    moments, done, out = Moments(seed), 0, disk.mounted / "release"
    made = [_release(folder, f"1.{number}.0") for number in range(6)]
    after = {made[number - 1][0]: made[number][0] for number in range(len(made))}
    whole = [tree(folder / "whole" / digest[7:]) for digest, _, _ in made]
    for number in range(cuts):
        root = disk.mounted / f"registry-{number // ROUNDS}"
        first = number % len(made)

        def work(note: Note, root: Path = root, first: int = first) -> None:
            for turn in range(1000):
                digest, record, files = made[(first + turn) % len(made)]
                layout.publish(root, record, files, [record.version, "latest"])
                note(f"tag {record.version} {digest}")
                note(f"tag latest {digest}")
                place = LayoutPlace(root)
                for tag in (signature_tag(digest), channel_tag("latest")):
                    place.write(tag, f"{tag} of {turn}".encode())
                    note(f"envelope {tag} {turn}")
                attach(root, _evidence(digest, f"{first}.{turn}"))
                note(f"evidence {digest} {first}.{turn}")
                layout.export(root, digest, out, replace=True)
                note(f"folder {digest} -")

        notes = [line.split() for line in cut_short(disk, folder / "notes", moments, work)]
        done += len(notes)
        _check_layout(root, notes, after)
        assert not any(what == "folder" for what, *_ in notes) or out.is_dir(), "the folder of a release is gone"
        assert not out.is_dir() or tree(out) in whole
        digest, record, files = made[first]
        layout.publish(root, record, files, [record.version, "latest"])
        layout.export(root, digest, out, replace=True)
        assert layout.check(root) == [] and layout.tags(root)["latest"] == digest
        assert tree(out) == whole[first]
        assert not list(disk.mounted.glob(".centernet*")), "something was left behind"
    return done


def cut_exports_before_each_call(disk: Disk, folder: Path, *, journal: bool) -> int:
    """Cut the power before each call that changes the disk while one folder of a release takes the place of another.

    Returns:
        How many calls there are.
    """
    (old, _, _), (new, _, _) = (_release(folder, version) for version in ("1.0.0", "1.1.0"))
    whole = {digest: tree(folder / "whole" / digest[7:]) for digest in (old, new)}
    out, source = disk.mounted / "release", folder / "elsewhere"
    seen = []
    for number in range(1000):
        layout.export(source, old, out, replace=True)
        ended = not killed_before(number, lambda: layout.export(source, new, out, replace=True))
        disk.cut(journal=journal)
        assert out.is_dir(), f"the folder of a release is gone after a cut before call {number}"
        seen.append(tree(out) == whole[new])
        assert seen[-1] or tree(out) == whole[old]
        if ended:
            break
    assert seen == sorted(seen) and set(seen) == {False, True}, "the old folder, then the new one"
    return len(seen)


def cut_repeated_puts_before_each_call(disk: Disk) -> int:
    """Kill a process before each call of a put, let another put the same, and cut the power when it has.

    Returns:
        How many calls there are.
    """
    for number in range(1000):
        store = ContentStore(disk.mounted / f"put-{number}")
        ended = not killed_before(number, lambda store=store: store.put_bytes(_SAME))  # type: ignore[misc]
        blob = store.put_bytes(_SAME)
        disk.cut()
        assert store.is_sound(blob), f"a blob that was there when it was put is gone: killed before call {number}"
        if ended:
            return number
    raise AssertionError("it does not end")


def _check_layout(root: Path, notes: List[List[str]], after: Mapping[str, str]) -> None:
    if not (root / "oci-layout").is_file():
        assert notes == [], "a layout that was reported is gone"
        return
    assert layout.check(root) == []
    registry = LayoutRegistry(root)
    # What was set last, or the next, which may have been set before the child could say so.
    for what, name, value in notes:
        if what == "tag" and name != "latest":
            assert layout.tags(root)[name] == value
        elif what == "evidence":
            assert value in [one.device for one in evidence_of(registry, name)]
    last: Dict[Tuple[str, str], str] = {(what, name): value for what, name, value in notes}
    if ("tag", "latest") in last:
        found = layout.tags(root)["latest"]
        assert found in (last["tag", "latest"], after[last["tag", "latest"]]), "a channel went back"
    for (what, name), value in last.items():
        if what == "envelope":
            envelope = read_envelope(registry, name)
            assert envelope is not None and int(envelope.split()[-1]) >= int(value)


def _release(folder: Path, version: str) -> Tuple[str, ReleaseRecord, Dict[str, Path]]:
    record, files = release(folder / "built", version)
    digest = layout.publish(folder / "elsewhere", record, files, [version]).digest
    layout.export(folder / "elsewhere", digest, folder / "whole" / digest[7:])
    return digest, record, dict(files)


def _evidence(digest: str, device: str) -> Evidence:
    return Evidence(
        release=digest,
        device=device,
        created="2026-11-22T12:00:00+00:00",
        engine="sail",
        chip="BM1684X",
        variant="BM1684X/centernet_int8_1b.bmodel",
        model_digest=digest_bytes(b"model"),
        versions={},
        protocol=Protocol(
            name="coco", dataset_digest=digest_bytes(b"val"), images=3, score_floor=0, top_k=100, metric="AP"
        ),
        accuracy=Accuracy(ap=0.36, ap50=0.5),
        comparable=True,
        comparison="AP +0.0000",
    )

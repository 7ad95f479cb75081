"""What the commands ``pull``, ``rollback`` and ``releases`` do and say."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import List, Optional, Sequence

from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from artifacts.release import ReleaseRecord, Variant
from inference.deploy.local import local_release
from inference.deploy.places import CURRENT, PREVIOUS, reading_root, store_root
from inference.deploy.prune import prune, rollback
from inference.deploy.pull import Check, Pulled, pull
from inference.deploy.selftest import check_release
from inference.deploy.state import PulledRelease
from inference.deploy.store import DeviceStore
from inference.deploy.trust import Trust, pinned_keys
from inference.deploy.verify import verify
from inference.engines.base import Engine
from inference.engines.choose import EngineWish, choose_engine, open_engine, preferred_chip, sail_problem
from inference.engines.locate import simulator_python
from inference.errors import EngineNotFound, ModelError
from inference.model import ReleasedModel, read_release
from inference.vendor_programs import in_words
from inference.wish import Wish


def pull_release(options: argparse.Namespace) -> Pulled:
    """Pull, and say what was done.

    Args:
        options: ``reference``, ``chip``, ``precision``, ``batch``, ``cores``, ``io``, ``all``, ``store``,
            ``keys``, ``signed_as``, ``expired``, ``no_self_test``, ``no_activate`` and ``engine``.

    Returns:
        What was done.

    Raises:
        InferenceError: It failed; the release in use stays.
        ArtifactError: The registry or the store failed; the release in use stays.
    """
    reference = parse_reference(options.reference)
    engine = EngineWish(options.engine)
    wish = Wish(
        chip=options.chip or preferred_chip(engine),
        precision=options.precision,
        batch=options.batch,
        cores=options.cores,
        io=options.io,
        every=options.all,
    )
    store = DeviceStore(store_root(options.store))
    trust = Trust(pinned_keys(store.root, options.keys), options.signed_as, options.expired)
    activate = not options.no_activate
    check = _self_test(engine) if activate and not options.no_self_test else None
    with open_registry(reference) as registry:
        done = pull(registry, reference, wish, store, check=check, activate=activate, trust=trust, progress=_Progress())
    _tell_pulled(done, activate)
    if wish.io is None:
        _tell_of_raw(done)
    return done


def roll_back(options: argparse.Namespace) -> PulledRelease:
    """Go back, and say to what.

    Args:
        options: ``store``.

    Returns:
        The release in use now.

    Raises:
        NothingPulled: There is nothing to go back to.
        DeployError: The store is damaged.
        StoreError: The store cannot be written.
    """
    found = rollback(DeviceStore(store_root(options.store)))
    print(f"in use now: {_text(found)}")
    return found


def list_releases(options: argparse.Namespace) -> bool:
    """List the releases, the latest last.

    Args:
        options: ``prune``, ``verify``, ``vendor``, ``model`` and ``store``.

    Returns:
        Whether all is as it should be, as far as that was looked at.

    Raises:
        DeployError: What was named is no device store, the store is damaged, or a pull is at work.
        ModelError: What ``model`` names is no release.
        StoreError: The store cannot be written.
    """
    if options.model is not None:
        _tell_vendor_of(options.model)
        return True
    if options.store is not None:
        DeviceStore(store_root(options.store)).check_used()
    if options.prune:
        store = DeviceStore(store_root(options.store))
        gone = prune(store)
        print(f"removed {len(gone.releases)} releases and {gone.blobs} files, {gone.freed / 1e6:.1f} MB")
    else:
        store = DeviceStore(reading_root(options.store))
    whole = not options.verify or _tell_verified(store)
    state = store.state()
    if not state.releases:
        print(f"no releases in {store.root}")
    marks = {store.linked(PREVIOUS): PREVIOUS, store.linked(CURRENT): CURRENT}
    for one in state.releases:
        print(f"{marks.get(one.folder, ''):8}  {_text(one)}")
        if options.vendor:
            _tell_vendor(store, one)
    return whole


def _tell_vendor_of(model: str) -> None:
    # Without its models too: the record says what the programs ask for.
    record = read_release(local_release(model))
    print(f"{record.name} {record.version}")
    for one in record.variants:
        print(f"{'':10}{one.variant.path}: the vendor's programs: {in_words(one, record.preprocess)}")


def _tell_vendor(store: DeviceStore, release: PulledRelease) -> None:
    try:
        record = read_release(store.folder(release.folder))
    except ModelError as error:  # the other releases are still to be told about
        print(f"{'':10}{error}")
        return
    # The record names every model of the release, the folder holds those that were asked for.
    for model in record.variants:
        if model.variant.path in release.models:
            print(f"{'':10}{model.variant.path}: the vendor's programs: {in_words(model, record.preprocess)}")


def _tell_verified(store: DeviceStore) -> bool:
    sizes: List[int] = []
    started = time.monotonic()
    problems = verify(store, sizes.append)
    seconds = time.monotonic() - started
    for path, reason in problems:
        print(f"{path}: {reason}")
    done = f"{sum(sizes) / 1e6:.1f} MB hashed in {seconds:.1f} s"
    if problems:
        print(
            f"{done}; not as it should be: {len(problems)}. What is wrong is not used. Pull the release again: what is "
            "missing or damaged is fetched anew, the rest is kept"
        )
    else:
        print(f"{done}: everything is what was pulled")
    return not problems


def _self_test(engine: EngineWish) -> Check:
    # Looked for now: without an engine there is no need to fetch anything.
    _require(engine)

    def opened(model: ReleasedModel) -> Engine:
        return open_engine(model.path, model.variant.chip, engine)

    def check(folder: Path, record: ReleaseRecord, variants: Sequence[Variant]) -> None:
        check_release(folder, record, variants, opened)
        print(f"self-test passed: {', '.join(variant.path for variant in variants)}")

    return check


def _require(engine: EngineWish) -> None:
    try:
        name = choose_engine(engine)
        problem = sail_problem() if name == "sail" else None
        if name == "simulator":
            simulator_python(engine.python)
    except EngineNotFound as error:
        problem = str(error)
    if problem is not None:
        raise EngineNotFound(
            f"the self-test cannot be run here: {problem}. Nothing was fetched. To fetch without putting the release "
            "to use, add --no-activate; to switch to it untested, --no-self-test"
        )


class _Progress:
    """Shows on a terminal how much was fetched."""

    def __init__(self) -> None:
        self._shown: Optional[int] = None

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if sys.stderr.isatty() and percent != self._shown:
            self._shown = percent
            end = "\n" if done >= total else ""
            print(f"\rfetching {total / 1e6:.1f} MB: {percent} %", end=end, file=sys.stderr, flush=True)


def _tell_pulled(done: Pulled, activate: bool) -> None:
    fetched = f"{done.fetched / 1e6:.1f} MB fetched" if done.fetched else "everything was here already"
    repaired = ", and files that were missing or damaged in its folder were put right" if done.repaired else ""
    print(f"{_text(done.release)}: {fetched}{repaired}")
    if done.switched:
        print(f"in use now: {done.folder}")
    elif done.current:
        print("was in use already")
    elif not activate:
        print(f"not put to use: {done.folder}")


def _tell_of_raw(done: Pulled) -> None:
    try:
        release = read_release(done.folder)
    except ModelError:  # the pull is done; whatever runs the release will say what is wrong with it
        return
    there = [one.variant for one in release.variants if one.variant.io == "raw"]
    others = [one.path for one in there if one.path not in done.release.models]
    if [one for one in others if one.replace("_raw", "") in done.release.models]:
        print("the release has this model for raw pixels too, with the same results: --io raw")


def _text(release: PulledRelease) -> str:
    models = release.models[0] if len(release.models) == 1 else f"{len(release.models)} models"
    reference = f", {release.references[-1]}" if release.references else ""
    return f"{release.name} {release.version} {release.digest} ({models}, self-test {release.self_test}{reference})"

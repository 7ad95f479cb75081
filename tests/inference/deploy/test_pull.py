"""Pulling into a device store out of a registry on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import List, Tuple

import pytest

from artifacts import layout
from artifacts.digest import digest_bytes
from artifacts.errors import LayoutError, NoRoom, StoreNotWritable, UnknownTag
from artifacts.oci import read_index
from artifacts.reference import parse_reference
from artifacts.release import Variant
from artifacts.store import Blob
from inference.deploy import pull as pull_module
from inference.deploy.pull import pull
from inference.deploy.store import DeviceStore
from inference.errors import DeployError, NoSuchVariant, OptionError, SelfTestFailed
from inference.model import find_model
from inference.wish import Wish
from tests.artifacts.processes import all_at_once, as_nobody
from tests.artifacts.releases import SHARED, VARIANTS, model_bytes
from tests.inference.deploy.support import FOUR, INT8, ONE, CountingRegistry, check_with, publish, pulled

FP16 = Variant(chip="BM1684X", precision="fp16", batch=1)


@pytest.fixture
def store(tmp_path: Path) -> DeviceStore:
    return DeviceStore(tmp_path / "device")


def test_a_pull_brings_the_one_model_and_what_goes_with_it(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    shown: List[Tuple[int, int]] = []
    done = pulled(reference, store, progress=lambda *said: shown.append(said))
    assert done.switched and done.current
    files = {path.relative_to(done.folder).as_posix() for path in done.folder.rglob("*") if path.is_file()}
    golden = {"golden.json", "golden/scene-1.png", "golden/scene-2.png"}
    assert files == {INT8.path, "release.json", *SHARED, *golden}
    assert find_model(store.root / "current").variant == INT8
    # What was not asked for is not on the disk, under whatever name.
    others = {digest_bytes(model_bytes(variant, "1.0.0")) for variant in (FOUR, FP16)}
    assert not others & {"sha256:" + path.name for path in (store.root / "blobs/sha256").iterdir()}
    assert done.fetched == sum(blob.size for blob in done.release.files.values()) == shown[-1][0] == shown[-1][1]
    assert store.content.verify_all() == []


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_one_model_that_was_fetched_is_the_one_that_is_run(
    variant: Variant, tmp_path: Path, store: DeviceStore
) -> None:
    pulled(publish(tmp_path), store, Wish(variant.chip, variant.precision, variant.batch, variant.cores))
    assert find_model(store.root / "current").variant == variant


def test_the_files_of_a_release_are_links_to_what_was_fetched(tmp_path: Path, store: DeviceStore) -> None:
    done = pulled(publish(tmp_path), store)
    blob = done.release.files[INT8.path]
    assert (done.folder / INT8.path).samefile(store.content.path(blob))
    assert (done.folder / INT8.path).stat().st_mode & 0o222 == 0


def test_the_same_reference_again_fetches_and_tests_nothing(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    first = pulled(reference, store)
    registry = CountingRegistry(Path(reference.place))
    again = pull(registry, reference, ONE, store, check=check_with({0: 99.0}))
    assert registry.fetched == [] and again.fetched == 0
    assert not again.switched and again.current and again.folder == first.folder
    assert store.state().previous is None


def test_a_model_that_two_releases_share_is_fetched_once(tmp_path: Path, store: DeviceStore) -> None:
    pulled(publish(tmp_path), store)
    reference = publish(tmp_path, "1.1.0")
    registry = CountingRegistry(Path(reference.place))
    pull(registry, reference, ONE, store, check=check_with())
    shared = {digest_bytes(data) for data in SHARED.values()}
    assert len(registry.fetched) == 2  # the record and the bmodel
    assert not shared & {blob.digest for blob in registry.fetched}


@pytest.mark.parametrize(
    ("wish", "fitting", "line"),
    [
        (Wish(), 4, "--chip BM1684X --precision int8 --batch 1 --cores 1"),
        (Wish(chip="BM1684X"), 2, "--precision int8"),
        (Wish(precision="int8"), 2, "--chip BM1688 --batch 4 --cores 2"),
        (Wish(batch=1), 3, "--chip BM1684X --precision int8"),
    ],
    ids=str,
)
def test_more_than_one_model_for_what_was_asked_is_an_error_that_tells_them_apart(
    wish: Wish, fitting: int, line: str, tmp_path: Path, store: DeviceStore
) -> None:
    with pytest.raises(NoSuchVariant, match=f"has {fitting} models.* by --all, or add") as caught:
        pulled(publish(tmp_path), store, wish)
    _, *lines = str(caught.value).splitlines()
    assert len(lines) == fitting and f"  {line}" in lines
    assert len(caught.value.fitting) == fitting and len(caught.value.available) == 4
    assert not (store.root / "current").exists()
    assert store.content.verify_all() == [] and not (store.root / "blobs").exists()


RAW = Variant(chip="BM1684X", precision="int8", batch=1, io="raw")


@pytest.mark.parametrize(
    ("wish", "variants", "taken"),
    [
        (Wish(), (INT8, RAW), INT8),
        (Wish(io="raw"), (INT8, RAW), RAW),
        (Wish(io="float"), (INT8, RAW), INT8),
        (Wish(), (RAW,), RAW),
    ],
    ids=str,
)
def test_a_model_of_raw_pixels_is_taken_where_it_is_asked_for_or_alone(
    wish: Wish, variants: Tuple[Variant, ...], taken: Variant, tmp_path: Path, store: DeviceStore
) -> None:
    assert pulled(publish(tmp_path, variants=variants), store, wish).release.models == (taken.path,)


def test_all_means_the_raw_ones_too(tmp_path: Path, store: DeviceStore) -> None:
    done = pulled(publish(tmp_path, variants=(INT8, RAW)), store, Wish(every=True))
    assert done.release.models == (INT8.path, RAW.path)


def test_nothing_for_what_was_asked_is_an_error_that_lists_what_there_is(tmp_path: Path, store: DeviceStore) -> None:
    words = "no model for BM1688 int8 batch 4 1 core; it has .*BM1688 int8 batch 4 2 cores"
    with pytest.raises(NoSuchVariant, match=words):
        pulled(publish(tmp_path), store, Wish("BM1688", "int8", 4, 1))


@pytest.mark.parametrize("wish", [{"chip": "bm1684x"}, {"precision": "int4"}, {"io": "uint8"}], ids=str)
def test_a_chip_precision_or_io_that_does_not_exist_is_wrong_usage(wish: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(OptionError, match="choose one of"):
        Wish(**wish)


def test_all_that_fit_are_taken_when_asked(tmp_path: Path, store: DeviceStore) -> None:
    done = pulled(publish(tmp_path), store, Wish(chip="BM1684X", every=True))
    assert done.release.models == (FP16.path, INT8.path)
    # Another choice of the same release is another folder beside it.
    one = pulled(publish(tmp_path), store)
    assert one.folder != done.folder and one.release.digest == done.release.digest
    assert store.linked("previous") == done.folder.name


def test_one_chips_manifest_is_enough_of_a_release(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    children = read_index(layout.resolve(reference.place, reference.name)[1])
    (child,) = [child.blob for child in children if child.chip == "BM1684X"]
    for text in (f":{reference.name}-bm1684x", f"@{child.digest}"):
        done = pulled(parse_reference(f"oci:{reference.place}{text}"), store, Wish(precision="int8"))
        assert done.release.digest == child.digest and done.release.models == (INT8.path,)
    with pytest.raises(NoSuchVariant):
        pulled(parse_reference(f"oci:{reference.place}@{child.digest}"), store, Wish(chip="BM1688"))


def test_a_newer_release_leaves_the_one_before_beside_it(tmp_path: Path, store: DeviceStore) -> None:
    first = pulled(publish(tmp_path), store)
    second = pulled(publish(tmp_path, "1.1.0"), store)
    assert second.switched
    assert store.linked("current") == second.folder.name and store.linked("previous") == first.folder.name
    assert find_model(first.folder).release.version == "1.0.0"


def test_a_failed_self_test_keeps_the_release_in_use(tmp_path: Path, store: DeviceStore) -> None:
    first, newer = pulled(publish(tmp_path), store), publish(tmp_path, "1.1.0")
    before = (store.root / "state.json").read_bytes()
    with pytest.raises(SelfTestFailed, match=r"its size is off by 2 .*0\.25 is allowed"):
        pulled(newer, store, check=check_with({2: 2.0}))
    assert store.linked("current") == first.folder.name and store.linked("previous") is None
    assert (store.root / "state.json").read_bytes() == before
    # Repaired: nothing is fetched twice, and it is tested again.
    done = pulled(newer, store)
    assert done.fetched == 0 and done.switched and done.release.self_test == "passed"


def test_a_pull_without_the_test_says_so_for_ever_until_one_with_it(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path, with_golden=True)
    registry = CountingRegistry(Path(reference.place))
    done = pull(registry, reference, ONE, store, check=None)
    assert done.current and store.state().releases[0].self_test == "skipped"
    with pytest.raises(SelfTestFailed):
        pulled(reference, store, check=check_with({0: 9.0}))
    assert store.state().releases[0].self_test == "skipped"
    pulled(reference, store)
    assert store.state().releases[0].self_test == "passed"


def test_a_pull_that_shall_not_switch_neither_tests_nor_switches(tmp_path: Path, store: DeviceStore) -> None:
    first, newer = pulled(publish(tmp_path), store), publish(tmp_path, "1.1.0")
    done = pulled(newer, store, check=check_with({0: 99.0}), activate=False)
    assert not done.switched and not done.current and done.release.self_test == "not run"
    assert store.linked("current") == first.folder.name
    assert find_model(done.folder).release.version == "1.1.0"
    assert pulled(newer, store).switched


def test_a_release_without_golden_outputs_is_not_switched_to_untested(tmp_path: Path, store: DeviceStore) -> None:
    with pytest.raises(DeployError, match=r"it carries no golden\.json.*--no-self-test"):
        pulled(publish(tmp_path, with_golden=False), store)
    assert store.linked("current") is None


def test_a_disk_that_is_too_small_is_found_before_the_first_byte(
    tmp_path: Path, store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_module, "free_bytes", lambda path: pull_module.RESERVE_BYTES + 100)
    with pytest.raises(NoRoom):
        pulled(publish(tmp_path), store)
    assert not (store.root / "blobs").exists() and store.linked("current") is None


def test_what_changed_on_the_disk_is_put_right_and_tested_again(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    done = pulled(reference, store)
    path = done.folder / INT8.path
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (done.folder / "release.json").unlink()
    tested: List[Path] = []
    again = pulled(reference, store, check=lambda folder, record, variants: tested.append(folder))
    assert again.fetched == done.release.files[INT8.path].size and tested == [done.folder]
    assert again.repaired and not done.repaired and not pulled(reference, store).repaired
    assert find_model(done.folder).variant == INT8
    assert path.read_bytes() == model_bytes(INT8, "1.0.0")


def test_two_pulls_at_once_leave_one_whole_release(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    assert all_at_once([lambda: pulled(reference, DeviceStore(store.root))] * 4) == [0] * 4
    assert len(store.state().releases) == 1 and find_model(store.root / "current").variant == INT8
    assert [path.name for path in (store.root / "releases").iterdir()] == [store.linked("current")]


def test_a_channel_that_moved_is_followed(tmp_path: Path, store: DeviceStore) -> None:
    publish(tmp_path)
    latest = parse_reference(f"oci:{tmp_path}/registry:latest")
    first = pulled(latest, store)
    publish(tmp_path, "1.1.0")
    second = pulled(latest, store)
    assert second.switched and second.release.version == "1.1.0"
    old, new = store.state().releases
    assert (old.folder, old.references) == (first.folder.name, ()) and new.references == (str(latest),)


def test_what_is_not_in_the_registry_changes_nothing(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)
    with pytest.raises(UnknownTag, match="Tags there"):
        pulled(reference.named("9.9.9"), store)
    assert not (store.root / "state.json").exists()


def test_a_release_whose_record_and_files_disagree_is_refused(tmp_path: Path, store: DeviceStore) -> None:
    reference = publish(tmp_path)

    class Swapped(CountingRegistry):
        def read(self, blob: Blob, limit: int) -> bytes:
            data = super().read(blob, limit)
            own = digest_bytes(model_bytes(INT8, "1.0.0")).encode()
            return data.replace(own, b"sha256:" + b"0" * 64) if b"schema_version" in data else data

    registry = Swapped(Path(reference.place))
    with pytest.raises(LayoutError, match="is not what its record says"):
        pull(registry, reference, ONE, store, check=check_with())
    assert registry.fetched == []


def test_a_store_that_cannot_be_written_is_an_error_of_its_own() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = publish(folder)
        (folder / "device").mkdir(mode=0o755)
        folder.chmod(0o755)

        def refused() -> None:
            with pytest.raises(StoreNotWritable):
                pulled(reference, DeviceStore(folder / "device"))

        if os.geteuid() != 0:
            (folder / "device").chmod(0o555)
        assert as_nobody(refused) == 0

"""Reading releases from a server (distribution-spec 1.1, "Pull" and "Content Discovery").

Digests are always computed here; what the server says about its own bytes is never believed.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Callable, List, Optional, Set, Tuple, Type
from urllib.parse import urlencode

import requests

from artifacts import media
from artifacts.digest import check_digest, digest_bytes
from artifacts.errors import LayoutError, RegistryError, RegistryMisbehaved, RegistryRefused, UnknownTag
from artifacts.layout_tags import is_child_tag, is_trust_tag
from artifacts.oci import MAX_MANIFEST_BYTES, parse, read_index
from artifacts.remote.access import Access
from artifacts.remote.download import absent, fetch_blob, page_note
from artifacts.remote.job import Clock, Limits, TryAgain
from artifacts.remote.transport import Transport
from artifacts.store import Blob, ContentStore

# Old servers answer 404 to a request for an index that does not say that it accepts one.
ACCEPT = {"Accept": f"{media.INDEX}, {media.MANIFEST}"}
_PAGE_OF_TAGS = 1000
_MAX_PAGES = 200
_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?', re.IGNORECASE)


class RemoteRegistry:
    """The releases of one repository on a server; see `artifacts.registry.Registry` for the methods.

    Nothing is asked of the server until a method is called. One deadline holds for all calls together. One thread at a
    time may use it.

    Args:
        place: The server as ``host[:port]``.
        repository: The repository there.
        access: Credentials and trust; what the environment and docker's configuration say when None.
        limits: How patient to be; the defaults when None.
        clock: Where time comes from; the machine's when None.
        actions: What we may do: ``pull``, or ``pull,push``.

    Raises:
        AccessProblem: What is configured cannot be used.
    """

    def __init__(
        self,
        place: str,
        repository: str,
        *,
        access: Optional[Access] = None,
        limits: Optional[Limits] = None,
        clock: Optional[Clock] = None,
        actions: str = "pull",
    ) -> None:
        access = Access.from_environment() if access is None else access
        self.transport = Transport(place, repository, actions, access, limits or Limits(), clock or Clock())
        self._manifests: Set[str] = set()

    def resolve(self, name: str) -> Tuple[str, bytes]:
        """Find an index or a manifest by tag or digest.

        Returns:
            Its digest, computed here, and its bytes.

        Raises:
            UnknownTag: The server has nothing of this name in this repository.
            BadDigest: The name starts like a digest but is none.
            RegistryMisbehaved: It sent other bytes than the digest names, or what is no manifest.
            LayoutError: What it sent is no manifest.
            RegistryError: It cannot be reached, or refuses.
        """
        if name.startswith("sha256:"):
            check_digest(name)
        found = self.transport.job.persevere(lambda: self._manifest(name))
        if found is None:
            raise UnknownTag(name, self.transport.name, self._known_tags())
        digest, data = found
        # An index of what refers to a release is none of a release.
        if parse(data, "an index").get("mediaType") == media.INDEX and not is_trust_tag(name):
            self._manifests.update(child.blob.digest for child in read_index(data))
        return digest, data

    def read(self, blob: Blob, limit: int) -> bytes:
        """Read a small blob, or a manifest that an index names.

        Raises:
            LayoutError: It has more than `limit` bytes by its descriptor.
            RegistryMisbehaved: The server sent other bytes.
            RegistryError: It cannot be reached, refuses, or has no such blob.
        """
        if blob.size > limit:
            raise LayoutError(f"{blob.digest} has {blob.size} bytes, more than the {limit} that are accepted.")
        # Servers keep the two apart, and a descriptor does not tell which it names; what an index named is known.
        kinds = ("manifests", "blobs") if blob.digest in self._manifests else ("blobs", "manifests")
        for kind in kinds:
            data = self.transport.job.persevere(partial(self._small, kind, blob))
            if data is not None:
                return data
        raise absent(self.transport, blob)

    def fetch(self, blob: Blob, store: ContentStore, progress: Optional[Callable[[int], None]] = None) -> Path:
        """Bring a blob into a store; see `artifacts.remote.download.fetch_blob`."""
        return fetch_blob(self.transport, blob, store, progress)

    def tags(self) -> Tuple[str, ...]:
        """Return the tags of releases, sorted; those of single chips and of signatures are left out.

        Raises:
            RegistryError: The server cannot be reached, refuses, or answers nonsense.
        """
        return tuple(sorted(tag for tag in self._all_tags() if not (is_child_tag(tag) or is_trust_tag(tag))))

    def tag_digest(self, tag: str) -> Optional[str]:
        """Return the digest of what a tag names, computed here; None when there is no such tag.

        Raises:
            RegistryError: The server cannot be reached, or refuses.
        """
        found = self.transport.job.persevere(lambda: self._manifest(tag))
        return None if found is None else found[0]

    def has_moved(self, name: str, digest: str) -> bool:
        """Ask, without a body, whether a tag names something else than this digest.

        Raises:
            UnknownTag: The server has nothing of this name.
            RegistryError: It cannot be reached, or refuses.
        """

        def asked() -> bool:
            headers = {**ACCEPT, "If-None-Match": f'"{digest}"'}
            with self.transport.ask("HEAD", f"manifests/{name}", headers) as response:
                if response.status_code == 404:
                    raise UnknownTag(name, self.transport.name)
                return response.status_code != 304 and response.headers.get("Docker-Content-Digest") != digest

        return self.transport.job.persevere(asked)

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    def __enter__(self) -> RemoteRegistry:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _manifest(self, name: str) -> Optional[Tuple[str, bytes]]:
        with self.transport.ask("GET", f"manifests/{name}", ACCEPT) as response:
            if response.status_code == 404:
                return None
            return self._named(response, name)

    def _named(self, response: requests.Response, name: str) -> Tuple[str, bytes]:
        data = self._json(response, name)
        found = digest_bytes(data)
        # Of a tag nobody but the server knows the digest; that it contradicts itself still shows a spoiled body.
        said = response.headers.get("Docker-Content-Digest")
        expected = name if name.startswith("sha256:") else said
        if expected is not None and expected != found:
            raise self._other_bytes(expected, found)
        return found, data

    def _small(self, kind: str, blob: Blob) -> Optional[bytes]:
        with self.transport.ask("GET", f"{kind}/{blob.digest}", ACCEPT if kind == "manifests" else {}) as response:
            if response.status_code == 404:
                return None
            self._expect_success(response, blob.digest)
            data, page = self.transport.whole(response, blob.size), page_note(response)
        if len(data) < blob.size or digest_bytes(data) != blob.digest:
            raise self._other_bytes(blob.digest, digest_bytes(data) + page)
        return data

    def _json(self, response: requests.Response, what: str) -> bytes:
        self._expect_success(response, what)
        if page_note(response):
            raise RegistryMisbehaved(self._host, f"what it sent for {what} is no JSON{page_note(response)}")
        return self.transport.whole(response, MAX_MANIFEST_BYTES)

    def _expect_success(self, response: requests.Response, what: str) -> None:
        if response.status_code != 200:
            reason = f"{what}, {self.transport.detail(response)}{page_note(response)}"
            raise RegistryRefused(self._host, reason, "Check the name of the repository", response.status_code)

    def _other_bytes(self, expected: str, found: str) -> TryAgain:
        return TryAgain(RegistryMisbehaved(self._host, f"{expected} as it sends it hashes to {found}"))

    def _known_tags(self) -> Tuple[str, ...]:
        try:
            return self.tags()
        except (RegistryError, TryAgain):
            return ()

    def _all_tags(self) -> List[str]:
        found: List[str] = []
        target: Optional[str] = f"tags/list?{urlencode({'n': _PAGE_OF_TAGS})}"
        for _ in range(_MAX_PAGES):
            if target is None:
                break
            page, target = self.transport.job.persevere(partial(self._tag_page, target))
            found += page
        return found

    def _tag_page(self, target: str) -> Tuple[List[str], Optional[str]]:
        with self.transport.ask("GET", target) as response:
            if response.status_code == 404:
                return [], None
            value = parse(self._json(response, "the list of tags"), "a list of tags").get("tags")
            link = _NEXT.search(response.headers.get("Link", ""))
            following = self.transport.led_to(response.url, link[1]) if link else None
        if value is None:
            return [], following
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise RegistryMisbehaved(self._host, "its list of tags is none")
        return value, following

    @property
    def _host(self) -> str:
        return self.transport.job.registry

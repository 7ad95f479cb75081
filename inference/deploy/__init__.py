"""What a device does with releases: pull, verify, test, switch, roll back, collect garbage.

A device store is one folder::

    blobs/sha256/<hex>             what was fetched (`artifacts.store.ContentStore`)
    releases/<hex>-<selection>/    one release each, as plain files: hard links into blobs/
    current, previous              links to two of them, each switched by one rename
    keys/*.pub                     whose signatures are wanted (`inference.deploy.trust`)
    trust.json                     the newest record of each channel that was ever seen
    state.json                     which release each folder is, and which two are in use
    staging/, scratch/             what is being made; a dead process's leftovers are swept by the next command
"""

from __future__ import annotations

from inference.deploy.local import local_release

__all__ = ["local_release"]

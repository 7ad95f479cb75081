"""Errors of the artifact side, in families by who must act.

Every message says what happened, the likely cause and what to do next; the facts are attributes.
"""

from __future__ import annotations

from artifacts.errors.base import ArtifactError, BadDigest, LockTimeout
from artifacts.errors.registry import (
    AccessProblem,
    BadReference,
    CertificateProblem,
    GateNotPassed,
    LayoutError,
    NoRoom,
    RegistryError,
    RegistryMisbehaved,
    RegistryRefused,
    RegistryUnreachable,
    ReleaseInUse,
    TagExists,
    UnknownTag,
)
from artifacts.errors.release import BadRecord, BadVariant, BmodelError, NewerSchema, ReleaseError
from artifacts.errors.signature import (
    BadKey,
    NotSigned,
    RecordExpired,
    RolledBack,
    SignatureError,
    VerifierMissing,
    WrongSubject,
)
from artifacts.errors.store import (
    MAKE_AGAIN,
    DamagedBlob,
    DiskFailed,
    FolderInTheWay,
    MissingBlob,
    NoSpace,
    StoreError,
    StoreNotWritable,
)

__all__ = [
    "AccessProblem",
    "ArtifactError",
    "BadDigest",
    "BadKey",
    "BadRecord",
    "BadReference",
    "BadVariant",
    "BmodelError",
    "CertificateProblem",
    "DamagedBlob",
    "DiskFailed",
    "FolderInTheWay",
    "GateNotPassed",
    "LayoutError",
    "LockTimeout",
    "MAKE_AGAIN",
    "MissingBlob",
    "NewerSchema",
    "NoRoom",
    "NoSpace",
    "NotSigned",
    "RecordExpired",
    "RegistryError",
    "RegistryMisbehaved",
    "RegistryRefused",
    "RegistryUnreachable",
    "ReleaseError",
    "ReleaseInUse",
    "RolledBack",
    "SignatureError",
    "StoreError",
    "StoreNotWritable",
    "TagExists",
    "UnknownTag",
    "VerifierMissing",
    "WrongSubject",
]

"""What of our own environment other programs get: secrets travel there, and most programs need none of them."""

from __future__ import annotations

import os
import re
from typing import Dict, Mapping

# What a program needs to find itself, its libraries and a place for temporary files, and to speak the language here.
_COMMON = ("HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
_LOCALE = "LC_"
# May hold passwords of proxies; only for programs that reach the network.
_NETWORK = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE")

_SECRET = ("CENTERNET_REGISTRY_USER", "CENTERNET_REGISTRY_PASSWORD", "CENTERNET_KEY_PASSPHRASE")
# Settings, such as mirrors with passwords in their addresses, have two underscores: CENTERNET_WEIGHTS__MIRRORS.
_SETTING = re.compile(r"CENTERNET_\w+?__")
# Where the package installer's variables hold the index, they may hold its password.
_INSTALLERS = ("UV_", "PIP_")


def for_programs(environ: Mapping[str, str], *also: str, network: bool = False) -> Dict[str, str]:
    """Return what a program that is not ours gets: what is listed here and nothing else.

    Args:
        environ: Our environment.
        also: Further variables that it reads; one that ends in an underscore stands for all that begin so.
        network: Whether the program reaches the network, and so needs proxies and certificates.

    Returns:
        Its environment.
    """
    prefixes = (_LOCALE, *(name for name in also if name.endswith("_")))
    return {
        name: value
        for name, value in environ.items()
        # Proxies are written in small letters as well.
        if name in _COMMON + also or name.startswith(prefixes) or (network and name.upper() in _NETWORK)
    }


def without_secrets(environ: Mapping[str, str]) -> Dict[str, str]:
    """Return what a process of ours gets that neither pushes, signs nor installs: all but the secrets for that.

    Args:
        environ: Our environment.

    Returns:
        Its environment.
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in _SECRET and not _SETTING.match(name) and not name.upper().startswith(_INSTALLERS)
    }


def shut_to_others() -> None:
    """Let nothing that this process makes be written by others than its owner and group, whatever the umask was."""
    os.umask(os.umask(0o077) | 0o002)

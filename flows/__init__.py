"""What happens, as verbs on one screen."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # whoever runs a command by hand may have any Python
    sys.exit(
        "error: this command runs on Python 3.11 or newer, and this is {}.{}. A board needs none of it: there a device "
        "bundle is unpacked by tar, and its install.py installs it (docs/air-gapped.md).".format(*sys.version_info)
    )

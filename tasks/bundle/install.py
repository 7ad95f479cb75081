"""Install a device bundle on a board without a network: python3.8 install.py [OPTION FOR PIP ...]

Lies in the bundle, beside board.py, which does it. This part is in the words that even Python 2 reads, so that a Python
that the bundle is not for is told so, in place of a SyntaxError.
"""

import io
import json
import os
import re
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "board.py")


def wanted_python():  # type: () -> str
    """Return the Python that the bundle was made for, as far as its list says so."""
    try:
        with io.open(os.path.join(HERE, "bundle.json"), encoding="utf-8") as stream:
            found = str(json.load(stream)["pythons"]["device"])
    except Exception:  # damaged in any way: what matters here is another Python, and the list is judged by that
        found = ""
    return found if re.match(r"[0-9]{1,2}\.[0-9]{1,3}$", found) else "3.8 or newer"


if __name__ == "__main__":
    reason = ""
    if sys.version_info < (3, 8):
        here = "{0}.{1}".format(*sys.version_info)
        reason = "the bundle was made for Python {0}, this is {1}".format(wanted_python(), here)
    elif not os.path.isfile(PROGRAM):
        reason = "board.py is missing beside this file: unpack the bundle again, all of it"
    if reason:
        sys.exit("error: nothing was installed: " + reason)
    runpy.run_path(PROGRAM, run_name="__main__")

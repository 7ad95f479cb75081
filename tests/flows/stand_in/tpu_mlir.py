"""Stands for the compiler's package, which sets up paths when it is imported."""

import os
from pathlib import Path

os.environ["TPUC_ROOT"] = str(Path(os.environ["STAND_IN_ROOT"]))

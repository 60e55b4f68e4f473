"""Started by file path with `-I -S`: becomes package `launcher`, so that nothing else of Lambent is ever loaded."""

from __future__ import annotations

import importlib
import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    sys.path.append(os.path.dirname(here))
    importlib.import_module("launcher.guard").main(sys.argv[1:])

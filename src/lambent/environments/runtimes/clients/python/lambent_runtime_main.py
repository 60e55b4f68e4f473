"""Starts the runtime in a fresh interpreter, for functions whose variables act at process start."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lambent_runtime

lambent_runtime.main(dict(os.environ))

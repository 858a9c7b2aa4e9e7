"""elt's definitions without the policy that its own entry point adds."""

from pathlib import Path

import dagster as dg
import elt

defs = dg.load_from_defs_folder(path_within_project=Path(elt.__file__).parent)

"""``python -m compendium.site``: build the site of a finished run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from compendium.site.build import build
from meddel.errors import exit_code


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem said in one line, 130 interrupted."""
    parser = argparse.ArgumentParser("python -m compendium.site", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of a finished run (default: out)")
    parser.add_argument("--target", type=Path, help="folder of the site, replaced as a whole (default: OUT/site)")
    parser.add_argument("--strict", action="store_true", help="let a warning of Sphinx be an error")
    given = parser.parse_args(arguments)
    target = given.target or given.out / "site"
    return exit_code("compendium.site", lambda: print(build(given.out, target, strict=given.strict)))


if __name__ == "__main__":
    sys.exit(main())

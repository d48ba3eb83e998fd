"""`python -m scripts.docs_site DIRECTORY` writes the source of the site there, in place of an earlier one."""

import sys
from pathlib import Path

from scripts.docs_site.stage import stage

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.docs_site DIRECTORY")
    pages = stage(Path(sys.argv[1]))
    print(f"{pages} pages in {sys.argv[1]}")

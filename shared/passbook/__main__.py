"""`python -m passbook` is `passbook`."""

import sys

from passbook.cli import main

if __name__ == "__main__":
    sys.exit(main())

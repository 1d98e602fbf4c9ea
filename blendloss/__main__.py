"""`python -m blendloss` is the command `blendloss`."""

import sys

from blendloss._cli import main

if __name__ == "__main__":
    sys.exit(main())

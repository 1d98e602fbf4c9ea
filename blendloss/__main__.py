"""`python -m blendloss` is the command `blendloss`."""

import sys

from blendloss._command.main import main

if __name__ == "__main__":
    sys.exit(main())

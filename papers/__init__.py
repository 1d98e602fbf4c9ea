"""Published experiments, each reproduced by one command: `python -m papers`."""

from papers._quiet import import_tensorflow

import_tensorflow()  # first in every process, the workers' too

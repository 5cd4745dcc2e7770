"""`python -m palimpsest` does what `palimpsest` does."""

import sys

from palimpsest.console.main import main

sys.exit(main())

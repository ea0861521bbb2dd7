"""`python -m netloom.cli`, the same as `netloom`."""

import sys

from netloom.cli import main

sys.exit(main())

"""`python -m builder.cli`, the same as `netloom`."""

import sys

from builder.cli import main

sys.exit(main())

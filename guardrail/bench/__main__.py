"""`python -m guardrail.bench`."""

import sys

from guardrail.bench import main

sys.exit(main())

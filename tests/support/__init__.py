"""What several tests share."""

import os

ATTACK = "IMGINDEX_ATTACK" in os.environ  # `make attack`: as many kills and damages as it takes to be sure

"""How Hypothesis works here: never by the clock, and in CI with the same examples every time.

Machines differ and are shared, so neither a deadline nor a slow draw is a failure. Developers get new examples at every
run; CI judges a change by examples that do not change under it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", settings.get_profile("house"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "house")

"""A member's mind: (state, input, now) → (state, writes, effects). It waits for nothing and opens nothing."""

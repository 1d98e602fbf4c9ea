"""The bilevel toy of DARTS: where the gate's fixed point lies, for each virtual step."""

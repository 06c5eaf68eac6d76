"""How far a strip is shrunk: by its shorter side, as a picture of LONG to 1 is; by the longer one nothing is left.

What is counted as a share of a picture is, of a strip, counted as a share of a piece of it: a line of a long page is as
much as a line of a short one. What two lack of each other counts by pieces of LONG to 1, places that differ by squares:
so all of 6 changed lines of receipts of 14 and 30 to 1 were seen, instead of 2, and no copy of quality 10 was an edit.
"""

LONG = 4.0  # to 1; a wider picture is a strip. Panoramas and pages are below, and nothing changes for them
_LONGEST = 64.0  # to 1; beyond, a strip is shrunk by its longer side again, so that no map is wider than 32767 pixels


def reach(width: int, height: int) -> float:
    """The length that is shrunk to a number of pixels: the longer side, of a strip LONG times the shorter one."""
    longer, shorter = max(width, height), min(width, height)
    return max(min(longer, LONG * shorter), longer * LONG / _LONGEST)


def squares(width: int, height: int) -> float:
    """Of how many squares a strip is as long; 1 for what is no strip."""
    longer, shorter = max(width, height), max(1, min(width, height))
    return longer / shorter if longer > LONG * shorter else 1.0


def pieces(width: int, height: int) -> float:
    """Of how many pictures of LONG to 1 a strip is as long; 1 for what is no strip."""
    return max(1.0, max(width, height) / (LONG * max(1, min(width, height))))

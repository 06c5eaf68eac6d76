"""How far a strip is shrunk: by its shorter side, as a picture of LONG to 1 is; by the longer one nothing of it is left.

What is counted as a share of a picture is, of a strip, counted as a share of such a piece of it: a line of a long page
is as much as a line of a short one.
"""

LONG = 4.0  # to 1; a wider picture is a strip. Panoramas and pages are below, and nothing changes for them
_LONGEST = 64.0  # to 1; beyond, a strip is shrunk by its longer side again, so that no map is wider than 32767 pixels


def reach(width: int, height: int) -> float:
    """The length that is shrunk to a number of pixels: the longer side, of a strip LONG times the shorter one."""
    longer, shorter = max(width, height), min(width, height)
    return max(min(longer, LONG * shorter), longer * LONG / _LONGEST)


def pieces(width: int, height: int) -> float:
    """Of how many pictures of LONG to 1 a strip is as long; 1 for what is no strip."""
    return max(1.0, max(width, height) / (LONG * max(1, min(width, height))))

"""Constants of the rule by which images are read as pixels (docs/decisions/0035)."""

DECODER_RULE = 2
"""The number of the rule. Rule 1 dropped alpha, and knew no depth of 16-bit grey but 16."""

HASH_RULE = f"phash-1/{DECODER_RULE}"
"""What a perceptual hash depends on besides the image's bytes. Those of another rule are made
anew."""

BACKGROUND = (255, 255, 255)
"""The colour behind transparent pixels: white, in red, green and blue."""

FULL_DEPTH = 16
"""The bits of 16-bit grey where the project has chosen none."""

GREY_DEPTHS = (8, 10, 12, 14, FULL_DEPTH)
"""The bits that sensors use of the 16."""


def grey_depth(highest: int) -> int:
    """The least depth that holds a 16-bit value."""
    return next(bits for bits in GREY_DEPTHS if highest < 2**bits)

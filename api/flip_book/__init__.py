"""The flip book: how each item of a version's sample was learnt, epoch by epoch."""

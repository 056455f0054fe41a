"""The flip book: what each epoch's items measured, as files, as arrays, and over the epochs."""

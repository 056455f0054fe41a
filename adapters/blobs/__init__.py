"""The blob store: content by digest, in a folder or a bucket."""

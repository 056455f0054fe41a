"""Commands for images: import, export, erasure, and manifests."""

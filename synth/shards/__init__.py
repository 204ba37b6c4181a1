"""LMDB shards: writing, reading, manifest, verification, merging."""

"""Where texts come from: corpora, templates, units, charsets, bidirectional levels."""

"""Making corpora: from locale data, word lists, spelling dictionaries, texts, or by rule; and looking at them."""

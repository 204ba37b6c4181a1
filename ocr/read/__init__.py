"""From a picture, scan or film to its texts in the order of reading."""

"""Networks for recognition: backbones, sequence encoders (necks), heads. Importing them imports Paddle."""

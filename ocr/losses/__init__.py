"""What training makes small. Importing a loss imports Paddle."""

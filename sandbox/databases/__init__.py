"""Database clusters: PostgreSQL servers (`real`), or the API's answers alone (`light`)."""

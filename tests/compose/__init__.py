"""docker-compose.yml on a real engine. Left out by `pytest`, run by `pytest -m compose`."""

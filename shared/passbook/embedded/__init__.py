"""PostgreSQL and Kafka as child processes, and a supervisor for the services.

What a newcomer's two commands and the test-suite stand on; no production image contains it. The
servers come from PyPI wheels (extra `embedded`) and from Kafka's jars on Maven Central; neither
docker nor an installed server is needed.
"""

"""A busy program with the published Python SDK: busy.py URL."""

import sys
import time

import pyroscope

pyroscope.configure(
    application_name="python-sdk",
    server_address=sys.argv[1],
    tags={"region": "eu"},
)


def busy_function(n):
    return sum(i * i % 7 for i in range(n))


end = time.monotonic() + 120
while time.monotonic() < end:
    busy_function(100_000)

"""What `benchmarks/remote.py` has run on a node; shipped there, so it imports nothing."""


def echo(request, link):
    return {"echo": request["value"]}

"""DigitalOcean's HTTP API: what it answers, decides and remembers.

`app` puts it together; `gate` lets requests in (token, limits, faults); `state` is all that is remembered; every
other file is one service with its stored shapes' JSON, its checks and its routes. Contract: DigitalOcean's public
specification; what clients rely on beyond it stands in the comments.
"""

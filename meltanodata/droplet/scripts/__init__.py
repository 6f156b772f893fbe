"""What runs on a droplet: standard library only, Python 3.8 or newer.

Commands run `write_files`, `meltano`, `admin`, `verify` and `wipe`: their error messages are for people, since Pulumi
shows them as they are. The doctor runs `examine` and `reach`, which answer with codes and fields, as JSON. The others
are parts of these. A script imports its parts and `droplet.layout` by name, and nothing else of this
project; `files.script` puts them into the one text that goes to a droplet, so no two of them define the same name.
"""

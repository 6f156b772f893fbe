"""What runs on a droplet: standard library only, Python 3.8 or newer.

`write_files`, `meltano`, `admin`, `verify` and `wipe` are run by Commands: what they say when they fail is for people,
since Pulumi shows it as it is. `examine` and `reach` are run by the doctor and answer with codes and fields, as JSON.
The others are parts of these. A script imports its parts and `droplet.layout` by name, and nothing else of this
project; `files.script` puts them into the one text that goes to a droplet, so no two of them define the same name.
"""

"""What a fleet costs: time, memory, requests and state written, of ours and of what one would pick instead."""

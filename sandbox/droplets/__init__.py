"""The machines behind the sandbox's API: real ones that boot, light ones that only answer by SSH."""

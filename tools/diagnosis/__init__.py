"""What `tools.doctor` looks at: each check is a function that yields lines, and needs no Paddle.

`lines` is what they yield. `software`, `cards`, `processor`, `storage`, `system` and `network` look
at the machine, `run` at whether a config will work on it. What could crash or hang runs in another
process: `children` starts the programs of `probes/`.
"""

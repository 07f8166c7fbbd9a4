"""What a run will be, before it starts.

`recipe` chooses what the config leaves to it, by the rules of `fine_tuning`. `run_plan` works out
the number of steps, `resolve_config` fills in what the weights and the data decide,
`memory_estimate`, by `memory_rules`, and `free_memory` say what a step needs and what there is,
`micro_batch_size` chooses the micro-batch by them, and `start_lines` describes it all.
"""

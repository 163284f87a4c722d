"""How each queue takes a task and tells its answer: as its own guide has it."""

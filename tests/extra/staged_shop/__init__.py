"""A Django app of somebody's own, whose tasks are staged by tests; web has it by EXTRA_APPS."""

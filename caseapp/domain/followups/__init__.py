"""Follow-ups: tasks with a due time, created by people and by the screening protocol."""

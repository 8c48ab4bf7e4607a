"""Follow-ups: tasks with a due time, made by people and by the screening protocol."""

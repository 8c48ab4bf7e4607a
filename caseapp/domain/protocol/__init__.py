"""The screening protocol as versioned data: one file, its schema, and the times that it sets."""

"""Legal holds: a record that has to be kept, whatever else would let it go."""

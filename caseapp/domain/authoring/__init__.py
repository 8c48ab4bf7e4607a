"""Own handouts: the practice's own texts on their way to an edition; written, judged, approved by a second person."""

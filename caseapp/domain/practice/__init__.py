"""The practice itself: its name and letterhead, its zone, the help numbers that it has confirmed."""

"""Form drafts: the words of forms that were not sent, for their author only."""

"""Everything the product is about; knows nothing of HTTP."""

from caseapp.core.schemas import replace_library_messages

# Every schema is defined below this package or uses a part of it, so this runs first.
replace_library_messages()

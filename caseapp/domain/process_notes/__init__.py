"""Process notes: what somebody writes about a case for themselves alone. Only the page of their author reads them."""

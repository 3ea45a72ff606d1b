"""tfq in other libraries' hands; one file a library, imported where it is wanted."""

// Comes with the pages.

// Keeps the page as it is now.

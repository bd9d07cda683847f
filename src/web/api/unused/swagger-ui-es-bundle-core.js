// Left out of the program: the page to try the API uses swagger-ui-bundle.js.

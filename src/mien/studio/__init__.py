"""The studio: a page in the browser, served by this machine. Starlette serves it; page.html, .css and .js are it."""

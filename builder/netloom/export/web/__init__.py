"""The files of the web page export that are copied as they are: a page that runs a network in the browser."""

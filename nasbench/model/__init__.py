"""From a table of rows to torch modules: build, count, deploy, export."""

"""One writer for each generated page of the documentation.

One job: code in, text out. A writer reads real objects (models, tables, programs, syntax trees) and returns Markdown or
JSON; no file is written here, and nothing is said of the code that the code does not say itself.
"""

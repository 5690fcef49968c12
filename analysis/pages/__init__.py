"""The report: words, tables and figures as one page."""

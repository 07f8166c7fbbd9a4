"""From the results of runs to the tables of docs/results.md: lines, tables, pictures, pages."""

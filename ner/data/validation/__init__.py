"""Great Expectations over the prepared corpus: expectations, results, Data Docs."""

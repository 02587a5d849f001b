"""The library of the pipeline: a package for each part of the job, from annotated text to a served model."""

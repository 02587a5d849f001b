"""Every error that a user can cause, each one sentence or two: what is wrong, where, and what to do.

NerError
├── ParamsError      params.yaml: unknown key, missing key, value out of range
├── CatalogError     catalog.yaml, or a source or an encoder that it does not name
├── SourceError      a download, a checksum or a file that is not what the catalogue says
├── CorpusError      annotated text that cannot be read: file, line, what is there
│   └── TagError     a tag, or a sequence of tags, that the scheme does not allow
├── InputError       what is to be annotated is neither a text nor tokens
├── ModelError       a model folder or checkpoint that cannot be used
├── BusyError        another run, or another program, holds what is needed (a lock, a port)
├── RegistryError    MLflow cannot be reached, or refuses
├── ValidationFailed the data broke an expectation: a result with reasons, and exit status 3
└── GateFailed       the model is under a threshold: a result with reasons, and exit status 4
"""


class NerError(Exception):
    """Base of the project's errors. `exit_status` is what a stage that ends with it returns to the shell."""

    exit_status = 1


class ParamsError(NerError):
    """params.yaml, or an override of it, does not hold what the stages expect."""


class CatalogError(NerError):
    """catalog.yaml is malformed, or a name is not in it."""


class SourceError(NerError):
    """A corpus or an encoder cannot be fetched, or is not the one that the catalogue describes."""


class CorpusError(NerError):
    """Annotated text that cannot be read; the message names file and line."""


class TagError(CorpusError):
    """A tag that is no IOB2 tag, or that continues no entity."""


class InputError(NerError):
    """A text, or tokens, that cannot be annotated: not what the prediction core takes."""


class ModelError(NerError):
    """A model folder that is missing, incomplete, or not in safetensors."""


class BusyError(NerError):
    """Something else holds a lock or a port that this needs."""


class RegistryError(NerError):
    """The MLflow tracking server or registry cannot be reached or refuses."""


class ValidationFailed(NerError):
    """The data broke an expectation. The report is written before this is raised."""

    exit_status = 3


class GateFailed(NerError):
    """The model is under a threshold, as reports/gate.json says; or the champion is not the one that it was compared
    with.
    """

    exit_status = 4

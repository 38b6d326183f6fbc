"""Every error textmorph raises on purpose. Each says what came, what was expected and what to do.

TextmorphError
├── InputError            what the user gave cannot be used
│   ├── ImageError            a picture that cannot be read, is too large or has the wrong shape
│   ├── PromptError           a text that is empty, too long or says nothing new
│   ├── OptionError           an option out of range, or one that does not belong here
│   └── LatentError           a latent of the wrong shape
│       └── SpaceError            a latent in another space than the one needed
├── CheckpointError       a file of weights
│   ├── UnknownCheckpointError      no known format
│   ├── UnsafeCheckpointError       it asks for code to run
│   ├── CorruptCheckpointError      truncated or damaged
│   ├── CheckpointMismatchError     missing or extra keys, wrong shapes, not-a-number weights
│   └── UnsupportedCheckpointError  known, but not yet handled (StyleGAN3)
├── EditError             an edit that cannot be found or applied
│   ├── EmptyDirectionError   no channel passes the threshold
│   └── BankMismatchError     a channel bank or corpus made with other networks
├── DomainError           a domain folder that is missing something
├── DownloadError         a file that could not be fetched
│   └── OfflineError          it is needed, but the network is switched off
├── OutputError           a result that cannot be written
│   └── OutputExistsError     the file is there already
├── JobError              long work that cannot be begun, continued or computed
└── MissingExtraError     an optional package is needed
"""

from __future__ import annotations


class TextmorphError(Exception):
    """Base of all errors below: catch this to catch them all."""


class InputError(TextmorphError, ValueError):
    """What the user gave cannot be used."""


class ImageError(InputError):
    """A picture that cannot be read, is too large or has the wrong shape."""


class PromptError(InputError):
    """A text that is empty, too long or says nothing new."""


class OptionError(InputError):
    """An option out of range, or one that does not belong here."""


class LatentError(InputError):
    """A latent of the wrong shape."""


class SpaceError(LatentError):
    """A latent in another space than the one needed."""


class CheckpointError(TextmorphError):
    """A file of weights that cannot be used."""


class UnknownCheckpointError(CheckpointError):
    """A file in no known format."""


class UnsafeCheckpointError(CheckpointError):
    """A file that asks for code to run."""


class CorruptCheckpointError(CheckpointError):
    """A truncated or damaged file."""


class CheckpointMismatchError(CheckpointError):
    """Missing or extra keys, wrong shapes, not-a-number weights."""


class UnsupportedCheckpointError(CheckpointError):
    """A file that is known, but not yet handled."""


class EditError(TextmorphError):
    """An edit that cannot be found or applied."""


class EmptyDirectionError(EditError):
    """No channel passes the threshold."""


class BankMismatchError(EditError):
    """A channel bank or corpus made with other networks."""


class DomainError(TextmorphError):
    """A domain folder that is missing something."""


class DownloadError(TextmorphError):
    """A file that could not be fetched."""


class OfflineError(DownloadError):
    """A file is needed from the network, but the network is switched off."""


class OutputError(TextmorphError):
    """A result that cannot be written."""


class OutputExistsError(OutputError):
    """The file is there already; it was kept."""


class JobError(TextmorphError):
    """Long work that cannot be begun, continued or computed."""


class MissingExtraError(TextmorphError):
    """An optional package is needed."""

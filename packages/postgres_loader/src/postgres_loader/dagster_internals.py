"""What the loader uses of Dagster's private interface, seen in 1.13.27."""

# The tag of a data version on an event of one's own making. Dagster has no public name for it;
# without it, days that a whole-table run changes would not be seen as changed.
from dagster._core.definitions.data_version import DATA_VERSION_TAG as DATA_VERSION_TAG
